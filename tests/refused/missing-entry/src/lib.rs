//! A module without a `module!` line.

#![no_std]

extern crate bareflow_abi;

/// Never called.
pub fn run() -> i32 {
    0
}
