//! Which calls of a module are timed: all, or one in a few. Every call is counted.

use core::cell::Cell;
use core::num::NonZeroU32;

use super::Timing;

/// Which calls are timed.
#[derive(Debug)]
pub(crate) struct Sampler {
    every: Cell<NonZeroU32>,
    /// Calls until one is timed, that one included; 0 where all are.
    remaining: Cell<u32>,
    /// What `remaining` was when it was last set.
    reset_to: Cell<u32>,
    /// Calls that were not timed, but for those since then.
    skipped: Cell<u64>,
}

/// What is to be done about a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is timed, as all calls are.
    Time,
    /// It is counted.
    Count,
    /// It is timed, and those behind it are counted.
    TimeAndReset,
}

impl Sampler {
    /// One in `every` calls is timed, the first one first.
    pub fn new(every: NonZeroU32) -> Sampler {
        let sampler = Sampler {
            every: Cell::new(NonZeroU32::MIN),
            remaining: Cell::new(0),
            reset_to: Cell::new(0),
            skipped: Cell::new(0),
        };
        sampler.set(every);
        sampler
    }

    /// One in how many calls is timed.
    pub const fn every(&self) -> NonZeroU32 {
        self.every.get()
    }

    /// Has one in `every` calls be timed from now on, the next one first.
    pub fn set(&self, every: NonZeroU32) {
        self.skipped.set(self.untimed());
        self.every.set(every);
        self.reset(u32::from(every != NonZeroU32::MIN));
    }

    /// Whether every call is timed.
    #[inline]
    pub const fn times_all(&self) -> bool {
        self.remaining.get() == 0
    }

    /// Calls so far that were not timed.
    pub const fn untimed(&self) -> u64 {
        self.skipped.get().wrapping_add((self.reset_to.get() - self.remaining.get()) as u64)
    }

    /// Does not count the last call, which was not timed: it did not return.
    pub fn uncount(&self) {
        self.skipped.set(self.skipped.get().wrapping_sub(1));
    }

    /// What is to be done about the next call. Where it is counted alone, that is done.
    #[inline(always)]
    pub fn decide(&self) -> Decision {
        match self.remaining.get().checked_sub(1) {
            None => Decision::Time,
            Some(0) => Decision::TimeAndReset,
            Some(remaining) => {
                self.remaining.set(remaining);
                Decision::Count
            }
        }
    }

    /// How the next call is timed, where timed calls are timed like that.
    pub fn next(&self, timing: Timing) -> Timing {
        match self.decide() {
            Decision::Time => timing,
            Decision::Count => Timing::Untimed,
            Decision::TimeAndReset => {
                self.skipped.set(self.untimed());
                self.reset(self.every.get().get());
                timing
            }
        }
    }

    fn reset(&self, remaining: u32) {
        self.reset_to.set(remaining);
        self.remaining.set(remaining);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of so many calls are timed.
    fn timed(sampler: &Sampler, calls: usize) -> std::vec::Vec<bool> {
        (0..calls).map(|_| sampler.next(Timing::Fast) == Timing::Fast).collect()
    }

    #[test]
    fn times_one_in_a_few_and_counts_all() {
        let sampler = Sampler::new(NonZeroU32::new(3).unwrap());
        assert_eq!(timed(&sampler, 7), [true, false, false, true, false, false, true]);
        assert_eq!(sampler.untimed(), 4);
        sampler.set(NonZeroU32::MIN);
        assert_eq!(timed(&sampler, 3), [true; 3]);
        assert_eq!(sampler.untimed(), 4);
        sampler.set(NonZeroU32::new(2).unwrap());
        assert_eq!(timed(&sampler, 4), [true, false, true, false]);
        assert_eq!((sampler.untimed(), sampler.every().get()), (6, 2));
    }
}
