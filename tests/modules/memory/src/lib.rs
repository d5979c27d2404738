//! Copies, fills and compares memory.
//!
//! It does so for every length up to some pages and every relevant distance, and compares each byte with the result of
//! a plain loop.

#![no_std]
#![forbid(unsafe_code)]

use core::cmp::Ordering;
use core::hint::black_box;

use bareflow_abi::Context;

bareflow_abi::module!(memory);

/// The size of the buffers, in bytes.
const ROOM: usize = 8192;

/// The lengths above 200, around the thresholds at which the functions switch to another method.
const LONG: [usize; 13] = [511, 512, 1023, 1024, 1025, 2047, 2048, 2049, 2080, 3000, 4095, 4096, 4100];

/// The distances between the starts of two ranges.
const DISTANCES: [usize; 12] = [0, 1, 3, 8, 15, 16, 17, 31, 33, 64, 100, 2048];

/// Returns 0. On an error, writes the length, and returns the distance of the ranges plus 1.
pub fn memory(context: &mut Context<'_>) -> i32 {
    for length in (0..200).chain(LONG) {
        for distance in DISTANCES {
            let right = moves(0, distance, length)
                && moves(distance, 0, length)
                && fills(distance, length)
                && compares(distance, length);
            if !right {
                context.write(&(length as u32).to_le_bytes());
                return distance as i32 + 1;
            }
        }
    }
    0
}

fn pattern(index: usize) -> u8 {
    (index.wrapping_mul(0x9E37_79B1) >> 7) as u8
}

/// Moves `length` bytes within one buffer; all bytes around them must stay as they are.
fn moves(from: usize, to: usize, length: usize) -> bool {
    let mut bytes = filled();
    black_box(&mut bytes).copy_within(black_box(from..from + length), black_box(to));
    (0..ROOM).all(|index| {
        let moved = index >= to && index < to + length;
        bytes[index] == pattern(if moved { index - to + from } else { index })
    })
}

fn fills(start: usize, length: usize) -> bool {
    let mut bytes = filled();
    black_box(&mut bytes)[start..start + black_box(length)].fill(black_box(0xA5));
    (0..ROOM).all(|index| {
        let filled = index >= start && index < start + length;
        bytes[index] == if filled { 0xA5 } else { pattern(index) }
    })
}

/// Compares equal ranges, and ranges that differ in one byte: the first, the last, or one in the middle.
fn compares(start: usize, length: usize) -> bool {
    let one = filled();
    let mut other = filled();
    let order = |other: &[u8; ROOM]| {
        black_box(&one)[start..start + black_box(length)].cmp(&black_box(other)[start..start + black_box(length)])
    };
    let mut right = order(&other) == Ordering::Equal;
    for place in [0, length / 2, length.saturating_sub(1)].into_iter().filter(|&place| place < length) {
        for value in [0, pattern(start + place).wrapping_add(1), 255] {
            other[start + place] = value;
            right &= order(&other) == pattern(start + place).cmp(&value);
        }
        other[start + place] = pattern(start + place);
    }
    right
}

fn filled() -> [u8; ROOM] {
    core::array::from_fn(pattern)
}

#[cfg(test)]
mod tests {
    use bareflow_abi::{Context, Services};

    #[test]
    fn agrees_with_the_hosts_functions() {
        let mut output = [0; 4];
        assert_eq!(super::memory(&mut Context::new(&Services::NONE, b"", &mut output)), 0);
    }
}
