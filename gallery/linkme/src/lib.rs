//! Finds the operation that the input names among those that were collected from all over the crate, and does it.

#![no_std]
// What the macro writes names a section, which the compiler counts as unsafe; nothing else here is.
#![allow(unsafe_code)]

use bareflow_abi::Context;
use linkme::distributed_slice;

bareflow_abi::module!(run);

/// A name, and what it means.
type Operation = (&'static str, fn(i32, i32) -> Option<i32>);

#[distributed_slice]
static OPERATIONS: [Operation];

#[distributed_slice(OPERATIONS)]
static ADD: Operation = ("add", i32::checked_add);

#[distributed_slice(OPERATIONS)]
static SUBTRACT: Operation = ("sub", i32::checked_sub);

#[distributed_slice(OPERATIONS)]
static MULTIPLY: Operation = ("mul", i32::checked_mul);

/// The input is a name and two numbers. Returns what comes of it; -1 where nobody declared that or it has no result.
pub fn run(context: &mut Context<'_>) -> i32 {
    calculate(context.input()).unwrap_or(-1)
}

fn calculate(input: &[u8]) -> Option<i32> {
    let mut words = core::str::from_utf8(input).ok()?.split(' ');
    let (name, one, other) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (_, operation) = OPERATIONS.iter().find(|(known, _)| *known == name)?;
    operation(one, other)
}
