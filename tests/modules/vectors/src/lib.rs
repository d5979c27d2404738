//! Keeps sixteen numbers in vector registers during a whole call, so that anything that changes these registers changes
//! the result.
//!
//! The module also has a table of strings and data of its own, as any module may.

#![no_std]
#![forbid(unsafe_code)]

use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering};

bareflow_abi::module!(vectors, init = initialise);

/// The number of steps of a call.
const STEPS: u32 = 20_000;

static NAMES: [&str; 4] = ["sse2", "sse4.2", "avx2", "avx512"];
static SEED: AtomicU32 = AtomicU32::new(7);
static CALLS: [AtomicU32; 64] = [const { AtomicU32::new(0) }; 64];

/// Returns all lanes combined in one number.
#[must_use]
pub fn vectors() -> i32 {
    CALLS[63].fetch_add(1, Ordering::Relaxed);
    let names: usize = black_box(&NAMES).iter().map(|name| name.len()).sum();
    let mut lanes: [u32; 16] = core::array::from_fn(|lane| lane as u32 + SEED.load(Ordering::Relaxed));
    for step in 0..STEPS {
        lanes = lanes.map(|lane| (lane ^ lane >> 15).wrapping_mul(0x2c1b_3c6d).wrapping_add(step));
    }
    let folded = lanes.iter().fold(names as u32, |folded, lane| folded.rotate_left(5) ^ lane);
    folded as i32
}

/// Leaves other numbers in the registers.
fn initialise() -> i32 {
    i32::from(black_box(vectors()) == 0)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    #[test]
    fn returns_what_the_manifest_expects() {
        let expected = include_str!("../Cargo.toml").lines().find_map(|line| line.strip_prefix("expect = ")).unwrap();
        assert_eq!(super::vectors().to_string(), expected);
    }
}
