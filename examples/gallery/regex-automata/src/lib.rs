//! Finds the matches of a regular expression.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use bareflow_abi::Context;
use regex_automata::meta::Regex;

bareflow_abi::module!(run);

/// Finds all matches in the input.
///
/// The first line of the input is a regular expression. Writes each of its matches in the other lines on a line of its
/// own, and returns their number; -1 if the expression is invalid.
pub fn run(context: &mut Context<'_>) -> i32 {
    let mut parts = context.input().splitn(2, |byte| *byte == b'\n');
    let (pattern, text) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Some(regex) = core::str::from_utf8(pattern).ok().and_then(|pattern| Regex::new(pattern).ok()) else {
        return -1;
    };
    let mut count = 0;
    for found in regex.find_iter(text) {
        context.write(&text[found.range()]);
        context.write(b"\n");
        count += 1;
    }
    count
}
