//! The cycle clock. The gate reads it like this, too.

use std::arch::x86_64::{_mm_lfence, _rdtsc};

/// The clock, read without ordering.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and Linux lets processes use it.
    unsafe { _rdtsc() }
}

/// The clock, read when everything before is done and before anything behind begins.
#[inline(always)]
pub(crate) fn fenced_start() -> u64 {
    let now = fenced_end();
    // SAFETY: as above. It keeps what comes behind from beginning (Intel SDM volume 2, RDTSC).
    unsafe { _mm_lfence() };
    now
}

/// The clock, read when everything before is done.
#[inline(always)]
pub(crate) fn fenced_end() -> u64 {
    // SAFETY: as above. It waits for what came before.
    unsafe { _mm_lfence() };
    now()
}
