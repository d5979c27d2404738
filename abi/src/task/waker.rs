//! The waker of a task: it sets a flag, for which [`end_call`](super::end_call) has the task polled again.

use core::ptr::from_ref;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;
use core::task::{RawWaker, RawWakerVTable, Waker};

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, drop);

/// Returns a waker that sets `flag`.
pub(super) fn waker(flag: &'static AtomicBool) -> Waker {
    // SAFETY: the functions of the table fulfil its contract for a flag, which is never freed and may be set by anyone.
    unsafe { Waker::new(from_ref(flag).cast(), &VTABLE) }
}

/// Wakes wakers other than a task's own at once: they belong to a future that polls its parts only if they were woken.
pub(super) fn wake_foreign(waker: &Waker) {
    if !core::ptr::eq(waker.vtable(), &VTABLE) {
        waker.wake_by_ref();
    }
}

fn clone(flag: *const ()) -> RawWaker {
    RawWaker::new(flag, &VTABLE)
}

fn wake(flag: *const ()) {
    // SAFETY: `waker` made the pointer of a reference that lives for ever.
    unsafe { &*flag.cast::<AtomicBool>() }.store(true, Relaxed);
}

fn drop(_: *const ()) {}
