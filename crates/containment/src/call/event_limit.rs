//! The limits on the time of an event's handler, in ticks.
//!
//! A tick that meets a call counts for that call's own budget. While a handler runs it counts for the handler, too: each
//! one for its time with what it calls, and those that meet its own call for that. Other calls do not pay for this.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bareflow_loader::EventLimits;

use super::this_processor;
use crate::timer::ticks_of;

/// The level of no call.
const NO_CALL: u64 = u64::MAX;

/// The limits that are in force on a processor.
pub struct EventLimit {
    /// The distance of the stack of the handler's own call from the first stack.
    level: AtomicU64,
    /// The ticks that are left for the handler's own call, and for that with all that it calls.
    own: AtomicU32,
    total: AtomicU32,
}

impl EventLimit {
    /// No limits.
    pub const fn none() -> EventLimit {
        EventLimit { level: AtomicU64::new(NO_CALL), own: AtomicU32::new(0), total: AtomicU32::new(0) }
    }

    /// Counts a tick that met a call, and returns whether it ends that call: the handler's own, whose time is over. A
    /// callee is not ended for the time of its caller.
    pub fn tick(&self) -> bool {
        let level = self.level.load(Ordering::Relaxed);
        if level == NO_CALL {
            return false;
        }
        let count_down = |left: &AtomicU32| {
            let before = left.load(Ordering::Relaxed);
            left.store(before.saturating_sub(1), Ordering::Relaxed);
            before == 0
        };
        let is_over = count_down(&self.total);
        let is_own = this_processor().stack_shift.load(Ordering::Relaxed) == level;
        is_own && (count_down(&self.own) || is_over)
    }
}

/// Makes `call`, the call of a handler, within `limits`.
pub fn call_within<T>(limits: EventLimits, call: impl FnOnce() -> T) -> T {
    let limit = &this_processor().event_limit;
    limit.own.store(ticks_of(limits.own_us), Ordering::Relaxed);
    limit.total.store(ticks_of(limits.total_us), Ordering::Relaxed);
    let level = this_processor().stack_shift.load(Ordering::Relaxed);
    let outer = limit.level.swap(level, Ordering::Relaxed);
    let done = call();
    limit.level.store(outer, Ordering::Relaxed);
    done
}
