//! The cycle clock.

use core::arch::x86_64::{_mm_lfence, _rdtsc};

use bareflow_loader::Timing;

/// The clock at the beginning of what is timed.
#[inline(always)]
pub fn start(timing: Timing) -> u64 {
    match timing {
        Timing::Fast => now(),
        Timing::Precise => fenced_start(),
        Timing::Untimed => 0,
    }
}

/// The clock at its end.
#[inline(always)]
pub fn end(timing: Timing) -> u64 {
    match timing {
        Timing::Fast => now(),
        Timing::Precise => fenced_end(),
        Timing::Untimed => 0,
    }
}

/// The clock, read without ordering.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and ring 0 may use it.
    unsafe { _rdtsc() }
}

/// The clock, read when everything before is done and before anything behind begins.
#[inline(always)]
pub fn fenced_start() -> u64 {
    let now = fenced_end();
    // SAFETY: as above. It keeps what comes behind from beginning (Intel SDM volume 2, RDTSC).
    unsafe { _mm_lfence() };
    now
}

/// The clock, read when everything before is done.
#[inline(always)]
pub fn fenced_end() -> u64 {
    // SAFETY: as above. It waits for what came before.
    unsafe { _mm_lfence() };
    now()
}
