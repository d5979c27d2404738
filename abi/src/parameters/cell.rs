//! The storage of the values that a module was loaded with.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU8, Ordering};

/// No value was set yet.
const UNSET: u8 = 0;

/// A value is being written.
const WRITING: u8 = 1;

/// The value is there, and never changes again.
const SET: u8 = 2;

/// Values that are set once at the most, and read by any number of calls.
#[derive(Debug)]
pub struct ParameterCell<P> {
    values: UnsafeCell<MaybeUninit<P>>,
    progress: AtomicU8,
}

// SAFETY: `set` writes once, before `SET`; `get` reads after it. Values that are `Send` and `Sync` may be read by all.
unsafe impl<P: Copy + Send + Sync> Sync for ParameterCell<P> {}

impl<P: Copy> ParameterCell<P> {
    /// Creates a cell without values.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only the macro makes one, for a static")]
    pub const fn new() -> ParameterCell<P> {
        ParameterCell { values: UnsafeCell::new(MaybeUninit::uninit()), progress: AtomicU8::new(UNSET) }
    }

    /// Returns the values, if they were set.
    #[inline(always)]
    pub fn get(&self) -> Option<P> {
        // SAFETY: after `SET` the values are initialised, and no one writes them.
        (self.progress.load(Ordering::Acquire) == SET).then(|| unsafe { (*self.values.get()).assume_init() })
    }

    /// Sets the values. Returns whether they were set now, and not before.
    pub fn set(&self, values: P) -> bool {
        let is_first = self.progress.compare_exchange(UNSET, WRITING, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_first {
            // SAFETY: `progress` left `UNSET` just now and never returns to it, so this is the only write, and `get`
            // does not read before `SET`.
            unsafe { (*self.values.get()).write(values) };
            self.progress.store(SET, Ordering::Release);
        }
        is_first
    }
}
