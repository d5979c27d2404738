//! The cycle clock. The trampoline reads it like this, too.

use std::arch::x86_64::{_mm_lfence, _rdtsc};

/// The clock, read without ordering.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and Linux lets processes use it.
    unsafe { _rdtsc() }
}

/// The clock, read when everything before is done.
#[inline(always)]
pub(crate) fn now_fenced() -> u64 {
    // SAFETY: as above. It waits for what came before (Intel SDM volume 2, RDTSC).
    unsafe { _mm_lfence() };
    now()
}
