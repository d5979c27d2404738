//! A module with a name that does not fit into a header.

#![no_std]

bareflow_abi::module!(run);

fn run() -> i32 {
    0
}
