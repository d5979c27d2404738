//! Spends much time in its `init`, and then ends it.

#![no_std]
#![forbid(unsafe_code)]

bareflow_abi::module!(slow, init = init);

/// Counts far enough to take seconds in an emulator.
fn init() -> i32 {
    (0..30_000_000_u32).for_each(|step| {
        core::hint::black_box(step);
    });
    0
}

/// Returns 0.
pub fn slow() -> i32 {
    0
}
