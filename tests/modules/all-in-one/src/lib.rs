//! Uses many things at once that are hard to load: trait objects, a table of strings, formatting, writable statics, a
//! large bss, floats, 128-bit division, copies and jump tables.
//!
//! The result has a bit for each part that was correct; the output has the value of each part.

#![no_std]

use core::fmt::Write;

use bareflow_abi::Context;

bareflow_abi::module!(all_in_one);

trait Shape {
    fn area(&self) -> f64;
    fn name(&self) -> &'static str;
}

struct Square(f64);
struct Circle(f64);

impl Shape for Square {
    fn area(&self) -> f64 {
        self.0 * self.0
    }
    fn name(&self) -> &'static str {
        "square"
    }
}

impl Shape for Circle {
    fn area(&self) -> f64 {
        core::f64::consts::PI * self.0 * self.0
    }
    fn name(&self) -> &'static str {
        "circle"
    }
}

static SHAPES: [&(dyn Shape + Sync); 2] = [&Square(3.0), &Circle(2.0)];
static NAMES: [&str; 5] = ["zero", "one", "two", "three", "four"];
static mut CALLS: u32 = 0;
static mut SEEDED: [u32; 4] = [1, 2, 3, 4];
static mut LARGE: [u8; 100 << 10] = [0; 100 << 10];

/// Uses everything. Returns 1023 if all of it was correct.
pub fn all_in_one(context: &mut Context<'_>) -> i32 {
    let calls = count_call();
    let areas: f64 = SHAPES.iter().map(|shape| shape.area()).sum();
    let names: usize = NAMES.iter().map(|name| name.len()).sum();
    let (was_zero, large_sum) = use_large();
    let quotient = core::hint::black_box(u128::MAX - 6) / core::hint::black_box(1_000_000_007_u128);
    let copied = copy_page(core::hint::black_box(7));
    let jumps: u32 = (0..10).map(|index| jump(core::hint::black_box(index))).sum();
    let seeded = use_seeded(calls);
    let root = newton_root(core::hint::black_box(2.0));
    let shapes_named = SHAPES.iter().fold(0, |sum, shape| sum + shape.name().len());
    let written = write!(
        context,
        "call {calls}: areas {areas:.3}, {} {}, quotient {quotient:x}, root {root:.6}, {:?}",
        NAMES[4],
        names,
        Some(("debug", -1))
    );
    let checks = [
        (areas - 21.566_370_614).abs() < 1e-6,
        names == 19,
        if calls == 1 { was_zero } else { !was_zero },
        large_sum == 100 * 1024 * u64::from(calls.to_le_bytes()[0]),
        quotient == (u128::MAX - 6) / 1_000_000_007,
        copied == 4096 * 7,
        jumps == 1 + 10 + 100 + 1000 + 5 + 50 + 500 + 9 + 90 + 3,
        seeded,
        (root - core::f64::consts::SQRT_2).abs() < 1e-12 && shapes_named == 12,
        written.is_ok(),
    ];
    checks.iter().rev().fold(0, |bits, &right| bits << 1 | i32::from(right))
}

fn count_call() -> u32 {
    // SAFETY: calls of a module that isn't reentrant never overlap.
    unsafe {
        CALLS += 1;
        CALLS
    }
}

/// Adds one to every byte of the bss. Returns whether it was zero, and its new sum.
fn use_large() -> (bool, u64) {
    let large = &raw mut LARGE;
    // SAFETY: as above, and no other reference to it exists.
    let large = unsafe { &mut *large };
    let was_zero = large.iter().all(|&byte| byte == 0);
    large.iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
    (was_zero, large.iter().map(|&byte| u64::from(byte)).sum())
}

/// Whether initialised data is as written, and keeps what is added.
fn use_seeded(calls: u32) -> bool {
    let seeded = &raw mut SEEDED;
    // SAFETY: as above.
    let seeded = unsafe { &mut *seeded };
    let expected = [calls, calls + 1, calls + 2, calls + 3];
    let right = *seeded == expected;
    seeded.iter_mut().for_each(|value| *value += 1);
    right
}

/// Copies 4 KiB forwards, and overlapping in both directions. Returns the sum of the bytes.
fn copy_page(value: u8) -> u32 {
    let source = [value; 4096];
    let mut target = [0; 4096];
    core::hint::black_box(&mut target).copy_from_slice(core::hint::black_box(&source));
    core::hint::black_box(&mut target).copy_within(0..4000, 96);
    core::hint::black_box(&mut target).copy_within(96.., 0);
    if target != source {
        return 0;
    }
    target.iter().map(|&byte| u32::from(byte)).sum()
}

fn jump(index: u32) -> u32 {
    match index {
        0 => 1,
        1 => 10,
        2 => 100,
        3 => 1000,
        4 => 5,
        5 => 50,
        6 => 500,
        7 => 9,
        8 => 90,
        _ => 3,
    }
}

fn newton_root(of: f64) -> f64 {
    (0..60).fold(of, |guess, _| 0.5 * (guess + of / guess))
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
    fn all_parts_are_right_three_times() {
        let services = Services::new(log, clock);
        let mut output = [0; 256];
        for _ in 0..3 {
            let mut context = Context::new(&services, &[], &mut output);
            assert_eq!(all_in_one(&mut context), 1023);
        }
    }
}
