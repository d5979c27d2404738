//! The cycle clock.

use core::arch::asm;
use core::arch::x86_64::_rdtsc;

use bareflow_loader::Timing;

/// Reads the clock as `timing` says.
#[must_use]
#[inline(always)]
pub fn read(timing: Timing) -> u64 {
    match timing {
        Timing::Fast => now(),
        Timing::Precise => now_fenced(),
        Timing::Untimed => 0,
    }
}

/// Reads the clock without ordering.
#[must_use]
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and the kernel may use it, as Linux lets processes do.
    unsafe { _rdtsc() }
}

/// Reads the clock after all earlier instructions have completed.
#[must_use]
#[inline(always)]
pub fn now_fenced() -> u64 {
    // SAFETY: as above. The fence waits for the earlier instructions (Intel SDM volume 2, RDTSC). As an intrinsic it would
    // be called as a function in a kernel that is compiled without vector registers.
    unsafe { asm!("lfence", options(nostack, preserves_flags)) };
    now()
}
