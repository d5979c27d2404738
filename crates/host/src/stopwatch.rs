//! The time limit of a call.
//!
//! The time that the call has run counts: on a busy machine, a thread may wait for the processor much longer than its
//! module's budget.

use std::time::{Duration, Instant};

/// The time that a call may neither run nor end, in addition to its budget.
const WALL_TIME_SLACK: Duration = Duration::from_secs(1);

/// The encoding of CPU-time clocks: the complement of a process or thread ID, above these bits (Linux,
/// `include/linux/posix-timers_types.h`).
const ID_SHIFT: u32 = 3;
const SCHEDULED: libc::clockid_t = 2;
const PER_THREAD: libc::clockid_t = 4;

/// A clock of the CPU time of a process or a thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunClock(libc::clockid_t);

impl RunClock {
    /// Returns the clock of a process.
    pub const fn of_process(id: libc::pid_t) -> RunClock {
        RunClock(!id << ID_SHIFT | SCHEDULED)
    }

    /// Returns the clock of this thread.
    pub const fn of_this_thread() -> RunClock {
        RunClock(libc::CLOCK_THREAD_CPUTIME_ID)
    }

    /// Returns the clock of a thread of this process.
    pub const fn of_thread(id: libc::pid_t) -> RunClock {
        RunClock(!id << ID_SHIFT | SCHEDULED | PER_THREAD)
    }

    /// Reads the CPU time; `None` if the process or thread has ended.
    fn read(self) -> Option<Duration> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the system writes only to the structure.
        let done = unsafe { libc::clock_gettime(self.0, &raw mut time) } == 0;
        let seconds = u64::try_from(time.tv_sec).ok().filter(|_| done)?;
        Some(Duration::from_secs(seconds) + Duration::from_nanos(time.tv_nsec.unsigned_abs()))
    }
}

/// Returns the monotonic time, and this thread's CPU time.
pub(crate) fn now() -> [Duration; 2] {
    [RunClock(libc::CLOCK_MONOTONIC), RunClock::of_this_thread()].map(|clock| clock.read().unwrap_or_default())
}

/// The time of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch {
    clock: RunClock,
    budget: Duration,
    started: Instant,
    /// The clock's reading at the start.
    ran: Option<Duration>,
}

impl Stopwatch {
    /// Starts the time of a call.
    pub fn start(clock: RunClock, budget_us: u32) -> Stopwatch {
        let budget = Duration::from_micros(budget_us.into());
        Stopwatch { clock, budget, started: Instant::now(), ran: clock.read() }
    }

    /// Excludes `passed` of the elapsed time, and `ran` of the CPU time.
    pub fn exclude(&mut self, [passed, ran]: [Duration; 2]) {
        self.started += passed;
        self.ran = self.ran.map(|before| before + ran);
    }

    /// Returns the rest of the budget; `None` if it is used up.
    pub fn left(&self) -> Option<Duration> {
        self.left_without([Duration::ZERO; 2])
    }

    /// Returns the rest of the budget if `passed` of the elapsed time, and `ran` of the CPU time, do not count.
    pub fn left_without(&self, [passed, ran]: [Duration; 2]) -> Option<Duration> {
        let passed = self.started.elapsed().saturating_sub(passed);
        // CPU time never exceeds elapsed time, so the clock is read only when it can matter.
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
            // SAFETY: takes no arguments and always succeeds.
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
