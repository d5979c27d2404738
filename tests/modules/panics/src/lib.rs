//! Panics.

#![no_std]
#![forbid(unsafe_code)]

use core::fmt::{self, Display};

use bareflow_abi::Context;

bareflow_abi::module!(panics);

/// Panics, by an index out of range if the input isn't empty, or as the input says.
pub fn panics(context: &mut Context<'_>) -> i32 {
    let table = [1, 2, 3];
    match context.input() {
        [] => panic!("a module's own words"),
        b"expect" => nothing(context.input()).expect("there is none"),
        b"unwrap" => {
            i32::from(core::str::from_utf8(&context.input()[..1]).map_err(|_| 0).and(Err::<u8, _>(7)).unwrap())
        }
        b"long" => panic!("{}", Numbers(20_000)),
        b"escapes" => panic!("{} \u{1b}[31mred\nforged", context.input().len()),
        b"inside" => panic!("{}", Numbers(0)),
        input => table[input.len() + table.len()],
    }
}

fn nothing(input: &[u8]) -> Option<i32> {
    if input.is_empty() { Some(1) } else { None }
}

/// The numbers below a limit. Panics if the limit is 0.
struct Numbers(usize);

impl Display for Numbers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(self.0 > 0, "inside a Display");
        (0..self.0).try_for_each(|number| write!(out, "{number},"))
    }
}
