//! Has a name that does not fit a header.

#![no_std]

bareflow_abi::module!(run);

fn run() -> i32 {
    0
}
