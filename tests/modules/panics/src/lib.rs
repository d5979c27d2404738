//! Panics.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;

bareflow_abi::module!(panics);

/// Panics, by way of an index that is out of range where the input isn't empty.
pub fn panics(context: &mut Context<'_>) -> i32 {
    let table = [1, 2, 3];
    match context.input() {
        [] => panic!("a module's own words"),
        input => table[input.len() + table.len()],
    }
}
