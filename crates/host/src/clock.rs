//! The cycle clock, which the trampoline's assembly code reads in the same way.

use std::arch::x86_64::{_mm_lfence, _rdtsc};

/// Reads the clock, without ordering.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and Linux lets processes use it.
    unsafe { _rdtsc() }
}

/// Reads the clock after everything before has completed.
#[inline(always)]
pub(crate) fn now_fenced() -> u64 {
    // SAFETY: as above. LFENCE waits until earlier instructions have completed (Intel SDM volume 2, RDTSC).
    unsafe { _mm_lfence() };
    now()
}
