//! Solves linear equations in `f64`.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;
use core::fmt::Write;

use bareflow_abi::Context;
use nalgebra::DMatrix;

bareflow_abi::module!(run);

/// The largest difference between the two sides of an equation.
const TOLERANCE: f64 = 1e-12;

/// Solves a system of equations.
///
/// Each line of the input has an equation's coefficients and its right side. Writes the solution; returns 0, -1 for an
/// invalid system, -2 if there is no unique solution, and -3 if it does not hold to 1e-12.
pub fn run(context: &mut Context<'_>) -> i32 {
    let text = core::str::from_utf8(context.input()).unwrap_or_default();
    let numbers: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
    let (count, numbers) = (text.lines().count(), numbers.unwrap_or_default());
    if count == 0 || numbers.len() != count * (count + 1) {
        return -1;
    }
    let system = DMatrix::from_row_slice(count, count + 1, &numbers);
    let (factors, right) = (system.columns(0, count).into_owned(), system.column(count).into_owned());
    let Some(solution) = factors.clone().lu().solve(&right) else { return -2 };
    if (factors * &solution - right).amax() > TOLERANCE {
        return -3;
    }
    let written = solution.iter().try_for_each(|value| writeln!(context, "{value:.12}"));
    if written.is_ok() { 0 } else { -4 }
}
