//! Reads a JSON document, and writes it without white space and with sorted keys.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use core::fmt::Write;

use bareflow_abi::Context;
use serde_json::{Value, from_slice, to_vec};

bareflow_abi::module!(run);

/// Returns 0; -1 if the input is not a JSON document, and then writes the reason; -2 if it differs after the round
/// trip.
pub fn run(context: &mut Context<'_>) -> i32 {
    let document: Value = match from_slice(context.input()) {
        Ok(document) => document,
        Err(error) => return write!(context, "{error}").map_or(-3, |()| -1),
    };
    let Ok(text) = to_vec(&document) else { return -2 };
    if from_slice::<Value>(&text).ok().as_ref() != Some(&document) {
        return -2;
    }
    if context.write(&text) == text.len() { 0 } else { -3 }
}
