//! The cycle clock.

use core::arch::x86_64::{_mm_lfence, _rdtsc};

use bareflow_loader::Timing;

/// The clock, read as `timing` says.
#[inline(always)]
pub fn read(timing: Timing) -> u64 {
    match timing {
        Timing::Fast => now(),
        Timing::Precise => now_fenced(),
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
pub fn now_fenced() -> u64 {
    // SAFETY: as above. The first fence waits for what came before, the
    // second keeps what comes behind from beginning (Intel SDM volume 2, RDTSC).
    unsafe {
        _mm_lfence();
        let now = _rdtsc();
        _mm_lfence();
        now
    }
}
