//! The signals that a thread does not get.

use std::mem::zeroed;
use std::ptr::null_mut;

/// Runs `work` while all signals are blocked on this thread and on the threads that it creates.
pub(crate) fn all_blocked<T>(work: impl FnOnce() -> T) -> T {
    let (mut all, mut before) = (no_signals(), no_signals());
    // SAFETY: the sets are this frame's own.
    unsafe {
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
    }
    let result = work();
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, null_mut()) };
    result
}

/// Returns the set without signals.
pub(crate) fn no_signals() -> libc::sigset_t {
    // SAFETY: all zeros are the set without signals.
    unsafe { zeroed() }
}
