//! Copies its input to its output and returns the number of bytes.
//!
//! It logs the input if it is text, and fails with -1 if the clock goes backwards.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;

bareflow_abi::module!(echo, init = init);

/// Accepts every load.
pub fn init() -> i32 {
    0
}

/// Copies the input.
pub fn echo(context: &mut Context<'_>) -> i32 {
    let before = context.clock();
    let mut count = 0;
    let mut line = [0; 64];
    while let Some(&byte) = context.input().get(count) {
        if context.write(&[byte]) == 0 {
            break;
        }
        if let Some(place) = line.get_mut(count) {
            *place = byte;
        }
        count += 1;
    }
    if let Ok(text) = core::str::from_utf8(&line[..count.min(line.len())]) {
        context.log(text);
    }
    if context.clock() < before { -1 } else { i32::try_from(count).unwrap_or(i32::MAX) }
}
