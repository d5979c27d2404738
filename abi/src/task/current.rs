//! The data of a task between its polls, and the poll under way.

use core::ptr::{from_mut, null_mut};
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64};

use super::{EventClient, Task};
use crate::Context;

/// No time at all.
pub(super) const NEVER: u64 = u64::MAX;

/// The data of a task besides its future. Calls of a module do not overlap, so no access needs an order.
///
/// All of it begins as zeros, which takes no place in a blob. `armed` may be 0, since the loader calls the first poll.
#[derive(Debug)]
pub struct Current<S> {
    /// The context of the poll under way; null outside, and while it is lent.
    context: AtomicPtr<Context<'static>>,
    /// The state in the poll under way, likewise.
    state: AtomicPtr<S>,
    /// The events that are due and that nobody took: a bit for each.
    pending: AtomicU64,
    /// The events that the task waits for, as far as it was polled.
    waiting: AtomicU64,
    /// The time at which this poll last asked for it; 0 if it did not.
    now: AtomicU64,
    /// The earliest time that the task sleeps until, as far as it was polled.
    wake_at: AtomicU64,
    /// The time that the loader's timer is armed for.
    armed: AtomicU64,
    /// Whether the task's waker was called.
    pub(super) is_woken: AtomicBool,
}

impl<S> Current<S> {
    /// Creates the data of a task that was not polled.
    #[expect(clippy::new_without_default, reason = "it is made for statics")]
    #[must_use]
    pub const fn new() -> Current<S> {
        Current {
            context: AtomicPtr::new(null_mut()),
            state: AtomicPtr::new(null_mut()),
            pending: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            now: AtomicU64::new(0),
            wake_at: AtomicU64::new(0),
            armed: AtomicU64::new(0),
            is_woken: AtomicBool::new(false),
        }
    }

    /// Begins a poll for the events in `due`, during which context and state can be lent.
    ///
    /// # Panics
    /// If another one is under way. A loader does not let two calls of such a module overlap.
    pub(super) fn enter<'poll, T: Task<State = S>>(
        &'poll self,
        context: &'poll mut Context<'_>,
        state: &'poll mut S,
        due: u64,
    ) -> Entered<'poll, S> {
        assert!(self.context.load(Relaxed).is_null(), "two calls poll the task at once");
        let timer = 1 << T::TIMER;
        self.pending.store(self.pending.load(Relaxed) | due & !timer, Relaxed);
        if due & timer != 0 {
            self.armed.store(NEVER, Relaxed);
        }
        self.waiting.store(0, Relaxed);
        self.now.store(0, Relaxed);
        self.wake_at.store(NEVER, Relaxed);
        self.context.store(from_mut(context).cast(), Relaxed);
        self.state.store(state, Relaxed);
        Entered(self)
    }

    /// Lends the context of the poll under way.
    pub(super) fn lend_context<R>(&self, work: impl for<'call> FnOnce(&mut Context<'call>) -> R) -> R {
        // SAFETY: the pointer is one that `enter` took of a reference, which is borrowed until `Entered` is dropped.
        unsafe { lend(&self.context, |context| work(context)) }
    }

    /// Lends the state in the poll under way.
    pub(super) fn lend_state<R>(&self, work: impl FnOnce(&mut S) -> R) -> R {
        // SAFETY: as above.
        unsafe { lend(&self.state, work) }
    }

    /// Asks the loader for the time.
    pub(super) fn ask_now<T: Task<State = S>>(&self) -> u64 {
        let Ok(now) = self.lend_context(|context| T::events(context).now()) else {
            panic!("a task asked for the time, and the loader gave none");
        };
        self.now.store(now, Relaxed);
        now
    }

    /// Returns the time at which this poll last asked for it.
    pub(super) fn last_now<T: Task<State = S>>(&self) -> u64 {
        match self.now.load(Relaxed) {
            0 => self.ask_now::<T>(),
            now => now,
        }
    }

    /// Takes an event if it is due; otherwise the task waits for it. The request to end is never taken.
    pub(super) fn take<T: Task<State = S>>(&self, event: u32) -> bool {
        let (bit, pending) = (1_u64.checked_shl(event).unwrap_or(0), self.pending.load(Relaxed));
        if pending & bit == 0 {
            self.waiting.store(self.waiting.load(Relaxed) | bit, Relaxed);
            return false;
        }
        if event != T::STOP {
            self.pending.store(pending & !bit, Relaxed);
        }
        true
    }

    /// Returns whether a time has come; otherwise the task sleeps until then, or less.
    pub(super) fn has_come<T: Task<State = S>>(&self, time: u64) -> bool {
        // The timer was not due when this poll began, so later times need no clock.
        if time < self.armed.load(Relaxed) && time <= self.last_now::<T>() {
            return true;
        }
        self.wake_at.store(self.wake_at.load(Relaxed).min(time), Relaxed);
        self.waiting.store(self.waiting.load(Relaxed) | 1 << T::TIMER, Relaxed);
        false
    }

    /// Returns the events that the task waits for: its timer, too, if it was woken, and what it waited for in this poll only.
    pub(super) fn waiting<T: Task<State = S>>(&self) -> u64 {
        self.waiting.load(Relaxed) | u64::from(self.is_woken.load(Relaxed)) << T::TIMER
    }

    /// Notes that the task has ended, and needs no timer any more.
    pub(super) fn end(&self) {
        self.armed.store(0, Relaxed);
    }

    /// Arms the loader's timer if the task was woken, or sleeps until a time before the one that it is armed for.
    ///
    /// It is never armed for later, nor stopped: most often it takes less to be polled once for nothing.
    pub(super) fn arm<T: Task<State = S>>(&self, context: &Context<'_>) {
        let mut time = self.wake_at.load(Relaxed);
        if self.is_woken.load(Relaxed) {
            self.is_woken.store(false, Relaxed);
            time = 0;
        }
        if time < self.armed.load(Relaxed) {
            self.armed.store(time, Relaxed);
            let delay = time.saturating_sub(self.now.load(Relaxed));
            if T::events(context).after(T::TIMER, delay).is_err() {
                panic!("a task sleeps, and the loader takes no timer");
            }
        }
    }
}

/// A poll under way, which ends when this is dropped.
pub(super) struct Entered<'poll, S>(&'poll Current<S>);

impl<S> Drop for Entered<'_, S> {
    fn drop(&mut self) {
        self.0.context.store(null_mut(), Relaxed);
        self.0.state.store(null_mut(), Relaxed);
    }
}

/// Lends what a pointer leads to, which is null meanwhile.
///
/// # Safety
/// If the pointer is not null, nothing else reaches what it leads to.
unsafe fn lend<V, R>(pointer: &AtomicPtr<V>, work: impl FnOnce(&mut V) -> R) -> R {
    let lent = pointer.load(Relaxed);
    pointer.store(null_mut(), Relaxed);
    // SAFETY: as the caller promises; nobody else finds it before it is put back.
    let Some(value) = (unsafe { lent.as_mut() }) else {
        panic!("a `TaskContext` is used outside of its task's polls, or within its own `with` or `state`");
    };
    let result = work(value);
    pointer.store(lent, Relaxed);
    result
}
