//! An allocator of ranges of numbers, mostly of pages.

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;

/// Free numbers below 2^32, as disjoint ranges in ascending order that never touch.
#[derive(Debug)]
pub struct RangeAllocator<A: Allocator> {
    /// The first number and the length of each range.
    ranges: Vec<(u32, u32), A>,
    /// The number of allocated pieces. The table has room for all of them to be freed.
    taken: usize,
}

impl<A: Allocator> RangeAllocator<A> {
    /// Creates an allocator in which nothing is free.
    pub const fn new_in(allocator: A) -> RangeAllocator<A> {
        RangeAllocator { ranges: Vec::new_in(allocator), taken: 0 }
    }

    /// Allocates `count` consecutive numbers from the first range that has them. Returns the first of them.
    ///
    /// `None` if no range is long enough, or if there is no memory for the table to free them later.
    pub fn allocate(&mut self, count: u64) -> Option<u64> {
        self.allocate_aligned(count, 1)
    }

    /// Allocates like [`allocate`](Self::allocate), with the first number a multiple of `alignment`, a power of two.
    #[inline(always)]
    pub fn allocate_aligned(&mut self, count: u64, alignment: u64) -> Option<u64> {
        let (count, alignment) = (u32::try_from(count).ok()?, u32::try_from(alignment).ok()?);
        // There is at least one allocated piece between any two free ranges.
        self.make_room(self.taken + 3)?;
        // The numbers left free before and after the piece, if the range has room for it.
        let around = |&(start, free): &(u32, u32)| {
            let before = start.wrapping_neg() & (alignment - 1);
            Some((before, free.checked_sub(before)?.checked_sub(count)?))
        };
        let mut all = self.ranges.iter().enumerate();
        let (index, (before, behind)) = all.find_map(|(index, range)| Some((index, around(range)?)))?;
        let range = self.ranges.get_mut(index)?;
        let first = range.0 + before;
        match (before, behind) {
            (0, 0) => _ = self.remove(index),
            (0, _) => *range = (first + count, behind),
            (_, 0) => range.1 = before,
            _ => {
                range.1 = before;
                self.insert(index + 1, (first + count, behind));
            }
        }
        self.taken += 1;
        Some(first.into())
    }

    /// Frees numbers, or adds them for the first time, and joins them with their neighbours.
    ///
    /// Fails only when they are added: if there is no memory for the table or the numbers are too large, they stay
    /// allocated.
    #[inline(always)]
    pub fn free(&mut self, first: u64, count: u64) {
        let (Ok(first), Ok(count)) = (u32::try_from(first), u32::try_from(count)) else { return };
        if count == 0 || first.checked_add(count).is_none() || self.make_room(self.ranges.len() + 1).is_none() {
            return;
        }
        self.taken = self.taken.saturating_sub(1);
        let index = self.ranges.partition_point(|&(start, _)| start < first);
        let end = first + count;
        let touches = self.ranges.get(index).is_some_and(|&(next, _)| next == end);
        match index.checked_sub(1).and_then(|before| self.ranges.get_mut(before)) {
            Some((start, before)) if *start + *before == first => {
                *before += count;
                if touches {
                    let (_, more) = self.remove(index);
                    self.lengthen(index - 1, more);
                }
            }
            _ => match self.ranges.get_mut(index) {
                Some((start, behind)) if touches => (*start, *behind) = (first, *behind + count),
                _ => self.insert(index, (first, count)),
            },
        }
    }

    /// Makes room in the table for `ranges` ranges; `None` if there is no memory.
    #[inline(always)]
    fn make_room(&mut self, ranges: usize) -> Option<()> {
        if ranges <= self.ranges.capacity() { Some(()) } else { self.grow(ranges) }
    }

    // The rest is rare: most pieces are allocated from the start of a range, and are freed to the start of one.

    #[inline(never)]
    fn grow(&mut self, ranges: usize) -> Option<()> {
        self.ranges.try_reserve(ranges - self.ranges.len()).ok()
    }

    #[inline(never)]
    fn insert(&mut self, index: usize, range: (u32, u32)) {
        self.ranges.insert(index, range);
    }

    #[inline(never)]
    fn remove(&mut self, index: usize) -> (u32, u32) {
        self.ranges.remove(index)
    }

    fn lengthen(&mut self, index: usize, more: u32) {
        if let Some((_, count)) = self.ranges.get_mut(index) {
            *count += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allocator_api2::alloc::Global;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn takes_the_first_that_fits_and_joins_neighbours() {
        let mut ranges = RangeAllocator::new_in(Global);
        assert_eq!(ranges.allocate(1), None);
        ranges.free(0, 10);
        assert_eq!((ranges.allocate(4), ranges.allocate(4), ranges.allocate(4)), (Some(0), Some(4), None));
        ranges.free(0, 4);
        ranges.free(4, 4);
        assert_eq!(ranges.ranges.as_slice(), [(0, 10)]);
    }

    #[test]
    fn takes_from_the_middle_what_is_to_be_aligned() {
        let mut ranges = RangeAllocator::new_in(Global);
        ranges.free(1, 15);
        assert_eq!(ranges.allocate_aligned(4, 4), Some(4));
        assert_eq!(ranges.ranges.as_slice(), [(1, 3), (8, 8)]);
        assert_eq!(
            (ranges.allocate_aligned(8, 8), ranges.allocate_aligned(1, 8), ranges.allocate(3)),
            (Some(8), None, Some(1))
        );
        ranges.free(4, 4);
        assert_eq!((ranges.allocate_aligned(4, 4), ranges.allocate(1)), (Some(4), None));
    }

    proptest! {
        #[test]
        fn never_gives_a_number_out_twice(steps in prop::collection::vec((any::<bool>(), 1..9_u64, 0..3_u32), 1..200)) {
            let mut ranges = RangeAllocator::new_in(Global);
            ranges.free(0, 64);
            let mut taken: std::vec::Vec<(u64, u64)> = std::vec::Vec::new();
            for (takes, count, alignment) in steps {
                if takes {
                    let first = ranges.allocate_aligned(count, 1 << alignment);
                    prop_assert!(first.is_none_or(|first| first % (1 << alignment) == 0));
                    taken.extend(first.map(|first| (first, count)));
                } else if !taken.is_empty() {
                    let (first, count) = taken.swap_remove(count as usize % taken.len());
                    ranges.free(first, count);
                }
                let numbers: std::vec::Vec<_> = taken.iter().flat_map(|&(first, count)| first..first + count).collect();
                prop_assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len());
                prop_assert!(numbers.iter().all(|&number| number < 64));
                prop_assert!(ranges.ranges.windows(2).all(|pair| pair[0].0 + pair[0].1 < pair[1].0));
            }
        }
    }
}
