//! A module with a constructor, which nothing would run.

#![no_std]

bareflow_abi::module!(run);

extern "C" fn construct() {}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = construct;

fn run() -> i32 {
    0
}
