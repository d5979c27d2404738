//! A module that calls an undefined function.

#![no_std]

bareflow_abi::module!(run);

unsafe extern "C" {
    fn nowhere_to_be_found() -> i32;
}

fn run() -> i32 {
    // SAFETY: it never runs, since the module can't be packed.
    unsafe { nowhere_to_be_found() }
}
