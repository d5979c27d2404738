//! Which calls of a module are timed: all, or one in a few. Every call is counted.

use core::cell::Cell;
use core::num::NonZeroU32;

use super::Timing;

/// Whose turn it is to be timed.
#[derive(Debug)]
pub(crate) struct Turns {
    every: Cell<NonZeroU32>,
    /// Calls until one is timed, that one included; 0 where all are.
    left: Cell<u32>,
    /// What `left` was when it was last set.
    from: Cell<u32>,
    /// Calls that were not timed, but for those since then.
    passed: Cell<u64>,
}

/// What is to be done about a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is timed, as all calls are.
    Timed,
    /// It is counted.
    Counted,
    /// It is timed, and those behind it are counted.
    Ends,
}

impl Turns {
    /// One in `every` calls is timed, the first one first.
    pub fn new(every: NonZeroU32) -> Turns {
        let turns =
            Turns { every: Cell::new(NonZeroU32::MIN), left: Cell::new(0), from: Cell::new(0), passed: Cell::new(0) };
        turns.set(every);
        turns
    }

    /// One in how many calls is timed.
    pub const fn every(&self) -> NonZeroU32 {
        self.every.get()
    }

    /// Has one in `every` calls be timed from now on, the next one first.
    pub fn set(&self, every: NonZeroU32) {
        self.passed.set(self.untimed());
        self.every.set(every);
        self.count_from(u32::from(every != NonZeroU32::MIN));
    }

    /// Whether every call is timed.
    #[inline]
    pub const fn times_all(&self) -> bool {
        self.left.get() == 0
    }

    /// Calls so far that were not timed.
    pub const fn untimed(&self) -> u64 {
        self.passed.get().wrapping_add((self.from.get() - self.left.get()) as u64)
    }

    /// Does not count the last call, which was not timed: it did not return.
    pub fn take_back(&self) {
        self.passed.set(self.passed.get().wrapping_sub(1));
    }

    /// What is to be done about the next call. Where it is counted alone, that is done.
    #[inline(always)]
    pub fn usual(&self) -> Turn {
        match self.left.get().checked_sub(1) {
            None => Turn::Timed,
            Some(0) => Turn::Ends,
            Some(left) => {
                self.left.set(left);
                Turn::Counted
            }
        }
    }

    /// How the next call is timed, where timed calls are timed like that.
    pub fn next(&self, timing: Timing) -> Timing {
        match self.usual() {
            Turn::Timed => timing,
            Turn::Counted => Timing::Untimed,
            Turn::Ends => {
                self.passed.set(self.untimed());
                self.count_from(self.every.get().get());
                timing
            }
        }
    }

    fn count_from(&self, left: u32) {
        self.from.set(left);
        self.left.set(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of so many calls are timed.
    fn timed(turns: &Turns, calls: usize) -> std::vec::Vec<bool> {
        (0..calls).map(|_| turns.next(Timing::Fast) == Timing::Fast).collect()
    }

    #[test]
    fn times_one_in_a_few_and_counts_all() {
        let turns = Turns::new(NonZeroU32::new(3).unwrap());
        assert_eq!(timed(&turns, 7), [true, false, false, true, false, false, true]);
        assert_eq!(turns.untimed(), 4);
        turns.set(NonZeroU32::MIN);
        assert_eq!(timed(&turns, 3), [true; 3]);
        assert_eq!(turns.untimed(), 4);
        turns.set(NonZeroU32::new(2).unwrap());
        assert_eq!(timed(&turns, 4), [true, false, true, false]);
        assert_eq!((turns.untimed(), turns.every().get()), (6, 2));
    }
}
