//! The pages of the only image: text, rodata and data, with their own permissions, and all writable elsewhere.

use core::arch::x86_64::_rdtsc;
use core::cell::UnsafeCell;

use kernel_start::{KERNEL_BASE, low_table};

/// The size of each segment's range, in bytes.
pub const PAGE: u64 = 2 << 20;

/// The address where an image's text executes. Its rodata and data lie at the loader's distances from there.
#[cfg_attr(feature = "without-loader", expect(dead_code, reason = "no image is placed"))]
pub const TEXT: u64 = 4 << 30;

/// The address where the three segments are writable, one after the other.
pub const TEXT_ALIAS: u64 = 4 << 20;

/// The flags of a large page, and of a writable one; that of one which can't be executed.
const LARGE: u64 = 0x81;
const WRITABLE: u64 = 0x83;
const NO_EXECUTE: u64 = 1 << 63;

#[repr(align(4096))]
struct Table(UnsafeCell<[u64; 512]>);

// SAFETY: only `map` writes to it.
unsafe impl Sync for Table {}

static TABLES: [Table; 2] = [const { Table(UnsafeCell::new([0; 512])) }; 2];

/// Maps text, rodata and data.
pub fn map() {
    let [text, others] = &TABLES;
    // SAFETY: called once, at the start, and nothing is mapped there yet.
    unsafe {
        (*text.0.get())[0] = TEXT_ALIAS | LARGE;
        (*others.0.get())[0] = (TEXT_ALIAS + PAGE) | LARGE | NO_EXECUTE;
        (*others.0.get())[128] = (TEXT_ALIAS + 2 * PAGE) | WRITABLE | NO_EXECUTE;
        (*low_table())[4] = (text.0.get() as u64 - KERNEL_BASE) | 3;
        (*low_table())[5] = (others.0.get() as u64 - KERNEL_BASE) | 3;
    }
}

/// Returns the writable memory of one segment.
pub fn segment(address: u64) -> &'static mut [u8] {
    // SAFETY: the page is mapped writable, and only the one image is ever placed.
    unsafe { core::slice::from_raw_parts_mut(address as *mut u8, PAGE as usize) }
}

/// Reads the processor's cycle counter.
pub fn cycles() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { _rdtsc() }
}
