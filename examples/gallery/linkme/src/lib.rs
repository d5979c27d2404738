//! Executes the operation that the input names, among those collected from the whole crate.

#![no_std]
// The macro's output names a section, which counts as unsafe code; there is none besides.
#![allow(unsafe_code)]

use bareflow_abi::Context;
use linkme::distributed_slice;

bareflow_abi::module!(run);

/// The name and the function of an operation.
type Operation = (&'static str, fn(i32, i32) -> Option<i32>);

#[distributed_slice]
static OPERATIONS: [Operation];

#[distributed_slice(OPERATIONS)]
static ADD: Operation = ("add", i32::checked_add);

#[distributed_slice(OPERATIONS)]
static SUBTRACT: Operation = ("sub", i32::checked_sub);

#[distributed_slice(OPERATIONS)]
static MULTIPLY: Operation = ("mul", i32::checked_mul);

/// Returns the result of an operation.
///
/// The input is a name and two numbers. Returns -1 if the operation is unknown or has no result.
pub fn run(context: &mut Context<'_>) -> i32 {
    calculate(context.input()).unwrap_or(-1)
}

fn calculate(input: &[u8]) -> Option<i32> {
    let mut words = core::str::from_utf8(input).ok()?.split(' ');
    let (name, one, other) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (_, operation) = OPERATIONS.iter().find(|(known, _)| *known == name)?;
    operation(one, other)
}
