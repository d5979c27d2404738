//! Sampling: the decision which calls of a module are timed, all or one in a few. Every call is counted.

use core::cell::Cell;
use core::num::NonZeroU32;

use super::Timing;

/// The sampling state of a module.
#[derive(Debug)]
pub(crate) struct Sampler {
    every: Cell<NonZeroU32>,
    /// The number of calls until the next timed one, that one included; 0 if all are timed.
    remaining: Cell<u32>,
    /// The value that `remaining` was last set to.
    reset_to: Cell<u32>,
    /// The number of calls that were not timed, without those since `remaining` was last set.
    skipped: Cell<u64>,
}

/// The decision about a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Time it, as all calls are timed.
    Time,
    /// Count it.
    Count,
    /// Time it, and restart the countdown to the next timed call.
    TimeAndReset,
}

impl Sampler {
    /// Creates a sampler that times one in `every` calls, beginning with the first.
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

    /// Returns the number of calls of which one is timed.
    pub const fn every(&self) -> NonZeroU32 {
        self.every.get()
    }

    /// Times one in `every` calls from now on, beginning with the next.
    pub fn set(&self, every: NonZeroU32) {
        self.skipped.set(self.untimed());
        self.every.set(every);
        self.reset(u32::from(every != NonZeroU32::MIN));
    }

    /// Returns whether every call is timed.
    #[inline]
    pub const fn times_all(&self) -> bool {
        self.remaining.get() == 0
    }

    /// Returns the number of calls so far that were not timed.
    pub const fn untimed(&self) -> u64 {
        self.skipped.get().wrapping_add((self.reset_to.get() - self.remaining.get()) as u64)
    }

    /// Removes the last untimed call from the count, because it did not return.
    pub fn uncount(&self) {
        self.skipped.set(self.skipped.get().wrapping_sub(1));
    }

    /// Decides whether the next call is timed. If it is only counted, counts it.
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

    /// Returns the timing of the next call, where `timing` is that of timed calls.
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

    /// Returns for each of the next `calls` calls whether it is timed.
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
