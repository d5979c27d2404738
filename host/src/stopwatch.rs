//! When a call's time is over.
//!
//! What counts is the time it ran: on a busy machine a thread may wait for the
//! processor much longer than its module's budget.

use std::time::{Duration, Instant};

/// How long a call may neither run nor end, on top of its budget.
const WALL_TIME_SLACK: Duration = Duration::from_secs(1);

/// Clock numbers hold the complement of a process or thread above these bits
/// (Linux, `include/linux/posix-timers_types.h`).
const ID_SHIFT: u32 = 3;
const SCHEDULED: libc::clockid_t = 2;
const PER_THREAD: libc::clockid_t = 4;

/// The clock of what a process, or a thread, has run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunClock(libc::clockid_t);

impl RunClock {
    /// The clock of a process.
    pub const fn of_process(id: libc::pid_t) -> RunClock {
        RunClock(!id << ID_SHIFT | SCHEDULED)
    }

    /// The clock of this thread.
    pub const fn of_this_thread() -> RunClock {
        RunClock(libc::CLOCK_THREAD_CPUTIME_ID)
    }

    /// The clock of a thread of this process.
    pub const fn of_thread(id: libc::pid_t) -> RunClock {
        RunClock(!id << ID_SHIFT | SCHEDULED | PER_THREAD)
    }

    /// The time it ran; `None` when it is gone.
    fn read(self) -> Option<Duration> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the system writes to the structure alone.
        let done = unsafe { libc::clock_gettime(self.0, &raw mut time) } == 0;
        let seconds = u64::try_from(time.tv_sec).ok().filter(|_| done)?;
        Some(Duration::from_secs(seconds) + Duration::from_nanos(time.tv_nsec.unsigned_abs()))
    }
}

/// What has passed since some point in the past, and what this thread has run.
pub(crate) fn now() -> [Duration; 2] {
    [RunClock(libc::CLOCK_MONOTONIC), RunClock::of_this_thread()].map(|clock| clock.read().unwrap_or_default())
}

/// The time of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch {
    clock: RunClock,
    budget: Duration,
    started: Instant,
    /// What had been run by then.
    ran: Option<Duration>,
}

impl Stopwatch {
    /// A call that begins now.
    pub fn start(clock: RunClock, budget_us: u32) -> Stopwatch {
        let budget = Duration::from_micros(budget_us.into());
        Stopwatch { clock, budget, started: Instant::now(), ran: clock.read() }
    }

    /// Leaves out what has passed, and what was run of it, without being this call's.
    pub fn exclude(&mut self, [passed, ran]: [Duration; 2]) {
        self.started += passed;
        self.ran = self.ran.map(|before| before + ran);
    }

    /// How much is left of the budget; `None` when it is used up.
    pub fn left(&self) -> Option<Duration> {
        self.left_without([Duration::ZERO; 2])
    }

    /// The same where so much of what passed, and of what was run, does not count.
    pub fn left_without(&self, [passed, ran]: [Duration; 2]) -> Option<Duration> {
        let passed = self.started.elapsed().saturating_sub(passed);
        // Nothing can have run for longer than has passed: a clock is read only when it matters.
        let used = if passed < self.budget {
            passed
        } else if passed >= self.budget + WALL_TIME_SLACK {
            self.budget
        } else {
            let own = |(now, before): (Duration, Duration)| now.saturating_sub(before).saturating_sub(ran);
            self.clock.read().zip(self.ran).map_or(passed, own)
        };
        self.budget.checked_sub(used).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_was_run_and_not_what_was_waited() {
        let own = [
            // SAFETY: these take nothing and always succeed.
            RunClock::of_thread(unsafe { libc::gettid() }),
        ];
        for clock in own {
            let watch = Stopwatch::start(clock, 20_000);
            std::thread::sleep(Duration::from_millis(40));
            assert!(watch.left().is_some());
            let start = Instant::now();
            while watch.left().is_some() {
                assert!(start.elapsed() < WALL_TIME_SLACK * 5);
            }
            assert!(start.elapsed() > Duration::from_millis(10));
        }
    }
}
