//! The storage of a module's state between its calls.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// A module's state, lent to one call at a time.
///
/// Calls may come from different threads, so the state has to be `Send` to be shared:
///
/// ```compile_fail,E0277
/// use bareflow_abi::__private::StateCell;
///
/// // A pointer may belong to one thread.
/// static STATE: StateCell<*mut u8> = StateCell::new(core::ptr::null_mut());
/// ```
#[derive(Debug)]
pub struct StateCell<S> {
    state: UnsafeCell<S>,
    lent: AtomicBool,
}

// SAFETY: `enter` lends the state to one caller at a time, and a state that is `Send` may pass from one to the next.
unsafe impl<S: Copy + Send> Sync for StateCell<S> {}

impl<S: Copy> StateCell<S> {
    /// Creates a cell with the initial state.
    #[must_use]
    pub const fn new(state: S) -> StateCell<S> {
        StateCell { state: UnsafeCell::new(state), lent: AtomicBool::new(false) }
    }

    /// Lends the state to `work`.
    ///
    /// # Panics
    /// If it is lent already. A loader does not let two calls of such a module overlap.
    #[inline(always)]
    pub fn enter<R>(&self, work: impl FnOnce(&mut S) -> R) -> R {
        assert!(!self.lent.swap(true, Ordering::Acquire), "two calls have the state at once");
        // SAFETY: `lent` was false, and is true until `work` is done, so this is the only reference.
        let done = work(unsafe { &mut *self.state.get() });
        self.lent.store(false, Ordering::Release);
        done
    }
}
