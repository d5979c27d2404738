//! Uses collections of `alloc` on the module's own heap.
//!
//! The input `exhaust` makes it allocate until the heap is used up, and `try` makes it do so with fallible allocations.
//! `leak` makes it leak three blocks of a hundred bytes, `deep` use 20,000 bytes of stack, and `much` use 30,000 bytes
//! of heap at once.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::hint::black_box;

use bareflow_abi::Context;

bareflow_abi::module!(heap);

/// Returns the number of entries of a map after a thousand insertions, all of which are checked.
pub fn heap(context: &mut Context<'_>) -> i32 {
    match context.input() {
        b"exhaust" => exhaust(),
        b"try" => return try_to_exhaust(),
        b"leak" => return leak(),
        b"deep" => return deep(20) * 50,
        b"much" => return much(),
        _ => {}
    }
    let mut names: BTreeMap<String, Box<u64>> = BTreeMap::new();
    for number in 0..1000_u64 {
        names.insert(number.to_string(), Box::new(number));
    }
    let right = names.iter().all(|(name, number)| name.parse() == Ok(**number));
    let joined: Vec<u8> = names.keys().flat_map(|name| name.bytes()).collect();
    context.write(&joined[..joined.len().min(16)]);
    if right && joined.len() == 2890 { names.len() as i32 } else { -1 }
}

fn leak() -> i32 {
    for _ in 0..3 {
        core::mem::forget(black_box(Box::new([1_u8; 100])));
    }
    0
}

/// Uses a thousand bytes of stack, `times` times.
#[inline(never)]
fn deep(times: i32) -> i32 {
    let frame = black_box([1_u8; 1000]);
    if times > 1 { deep(times - 1) + i32::from(black_box(&frame)[0]) } else { 1 }
}

fn much() -> i32 {
    let mut block = black_box(Vec::<u8>::with_capacity(20_000));
    block.resize(30_000, 1);
    black_box(&block).iter().map(|&byte| i32::from(byte)).sum::<i32>() / 30
}

fn exhaust() {
    let mut all: Vec<Box<[u8; 4096]>> = Vec::new();
    loop {
        all.push(black_box(Box::new([1; 4096])));
    }
}

/// Returns the number of KiB that can be allocated, by fallible allocations.
fn try_to_exhaust() -> i32 {
    let mut all: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(1024).is_err() || all.try_reserve(1).is_err() {
            return i32::try_from(all.len()).unwrap_or(-1);
        }
        all.push(black_box(piece));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bareflow_abi::Services;

    extern "C" fn log(_: *mut Context<'_>, _: *const u8, _: usize) {}
    extern "C" fn clock(_: *mut Context<'_>) -> u64 {
        0
    }

    #[test]
    fn counts_a_thousand_names() {
        let services = Services::new(log, clock);
        let mut output = [0; 32];
        assert_eq!(heap(&mut Context::new(&services, b"", &mut output)), 1000);
        assert_eq!(&output[..8], b"01101001");
    }
}
