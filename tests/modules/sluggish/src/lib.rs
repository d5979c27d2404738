//! Never returns from its `init`.

#![no_std]
#![forbid(unsafe_code)]

bareflow_abi::module!(sluggish, init = init);

/// Loops until its time is over.
pub fn init() -> i32 {
    loop {
        core::hint::spin_loop();
    }
}

/// Never reached.
pub fn sluggish() -> i32 {
    0
}
