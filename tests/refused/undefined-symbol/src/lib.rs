//! Calls a function that nobody defines.

#![no_std]

bareflow_abi::module!(run);

unsafe extern "C" {
    fn nowhere_to_be_found() -> i32;
}

fn run() -> i32 {
    // SAFETY: it never runs: the module cannot be packed.
    unsafe { nowhere_to_be_found() }
}
