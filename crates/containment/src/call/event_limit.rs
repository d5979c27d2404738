//! The limits on the time of an event's handler, in ticks.
//!
//! A tick that meets a call counts for that call's own budget. While a handler runs it counts for the handler, too: each
//! one for its time with what it calls, and those that meet its own call for that. Other calls do not pay for this.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bareflow_loader::EventLimits;

use super::this_processor;
use crate::cpu;
use crate::timer::ticks_of;

/// The factor of the limits where QEMU translates code: a handler that runs for the first time is held up by that.
const TRANSLATED: u32 = 10;

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

    /// Counts a tick that met a call or what the kernel does for one, and returns whether it ends that call: the handler's own,
    /// whose time is over. A callee is not ended for the time of its caller, and what the kernel does is called, too.
    pub fn tick(&self, in_kernel: bool) -> bool {
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
        is_own && (!in_kernel && count_down(&self.own) || is_over)
    }
}

/// Makes `call`, the call of a handler, within `limits`. The handler of another manager's event may be under way, whose time
/// with what it calls goes on.
pub fn call_within<T>(limits: EventLimits, call: impl FnOnce() -> T) -> T {
    let (level, limit) = (this_processor().stack_shift.load(Ordering::Relaxed), &this_processor().event_limit);
    let factor = if cpu::is_translated() { TRANSLATED } else { 1 };
    let outer = limit.begin(level, factor * ticks_of(limits.own_us), factor * ticks_of(limits.total_us));
    let done = call();
    limit.end(outer);
    done
}

/// Makes `call` without the limits of a handler that is under way, and apart from its time: the handler does not know of it.
pub fn call_apart<T>(call: impl FnOnce() -> T) -> T {
    let limit = &this_processor().event_limit;
    let Outer { level, own, total, .. } = limit.begin(NO_CALL, 0, 0);
    let done = call();
    limit.restore(level, own, total);
    done
}

/// The limits that were in force before those of an inner handler.
struct Outer {
    level: u64,
    own: u32,
    total: u32,
    /// The ticks that the inner handler got for its call with all that it calls.
    lent: u32,
}

impl EventLimit {
    /// Puts limits in force, of a call whose stack is at `level`. Returns those before.
    fn begin(&self, level: u64, own: u32, total: u32) -> Outer {
        // No tick meets a call here, so none counts for a part of them.
        Outer {
            level: self.level.swap(level, Ordering::Relaxed),
            own: self.own.swap(own, Ordering::Relaxed),
            total: self.total.swap(total, Ordering::Relaxed),
            lent: total,
        }
    }

    /// Restores the limits before, without the ticks that the inner handler took.
    fn end(&self, Outer { level, own, total, lent }: Outer) {
        let taken = lent.saturating_sub(self.total.load(Ordering::Relaxed));
        self.restore(level, own, total.saturating_sub(taken));
    }

    fn restore(&self, level: u64, own: u32, total: u32) {
        self.total.store(total, Ordering::Relaxed);
        self.own.store(own, Ordering::Relaxed);
        self.level.store(level, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(limit: &EventLimit) -> (u64, u32, u32) {
        let EventLimit { level, own, total } = limit;
        (level.load(Ordering::Relaxed), own.load(Ordering::Relaxed), total.load(Ordering::Relaxed))
    }

    #[test]
    fn an_inner_handler_takes_time_of_the_outer_ones_total_alone() {
        let limit = EventLimit::none();
        let none = limit.begin(1 << 16, 5, 20);
        let outer = limit.begin(2 << 16, 3, 10);
        limit.total.store(4, Ordering::Relaxed);
        limit.own.store(0, Ordering::Relaxed);
        limit.end(outer);
        assert_eq!(left(&limit), (1 << 16, 5, 14));
        // One that took more than there was leaves nothing.
        let outer = limit.begin(2 << 16, 3, 100);
        limit.total.store(0, Ordering::Relaxed);
        limit.end(outer);
        assert_eq!(left(&limit), (1 << 16, 5, 0));
        limit.end(none);
        assert_eq!(left(&limit).0, NO_CALL);
    }
}
