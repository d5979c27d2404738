//! A growing list whose elements never move: it grows by chunks, each at most an eighth of its length.

use core::cell::{Cell, OnceCell};

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;

/// The number of elements in the first chunk; a power of two.
const FIRST_CHUNK: u32 = 64;

/// The number of chunks of one size; the following ones have twice that size.
const ALIKE: u32 = 8;

/// The maximum number of chunks, enough for eight million elements.
const CHUNKS: usize = 112;

/// A list in chunks.
pub(crate) struct StableVec<T, A: Allocator> {
    chunks: [OnceCell<Vec<T, A>>; CHUNKS],
    length: Cell<u32>,
}

impl<T, A: Allocator> StableVec<T, A> {
    /// Creates an empty list.
    pub const fn new() -> StableVec<T, A> {
        StableVec { chunks: [const { OnceCell::new() }; CHUNKS], length: Cell::new(0) }
    }

    /// Adds an element; `None` if there is no memory.
    ///
    /// All elements of a chunk are created at once, by `blank`, from their indices.
    pub fn add(&self, allocator: &A, blank: fn(u32) -> T) -> Option<&T>
    where
        A: Clone,
    {
        let index = self.length.get();
        let (number, offset) = locate(index as usize);
        let chunk = self.chunks.get(number)?;
        if chunk.get().is_none() {
            let mut elements = Vec::new_in(allocator.clone());
            let size = FIRST_CHUNK << (number as u32 / ALIKE);
            elements.try_reserve_exact(size as usize).ok()?;
            let mut numbers = index..;
            elements.resize_with(size as usize, || blank(numbers.next().unwrap_or(index)));
            chunk.get_or_init(|| elements);
        }
        self.length.set(index + 1);
        chunk.get()?.get(offset)
    }

    /// Returns the number of elements that were added.
    pub const fn len(&self) -> u32 {
        self.length.get()
    }

    /// Returns the element with the given index.
    #[inline(always)]
    pub fn get(&self, index: usize) -> Option<&T> {
        // Most lists fit into the first chunk.
        if index < FIRST_CHUNK as usize {
            return self.chunks.first()?.get()?.get(index);
        }
        let (chunk, offset) = locate(index);
        self.chunks.get(chunk)?.get()?.get(offset)
    }

    /// Iterates over all elements.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().filter_map(OnceCell::get_mut).flat_map(|chunk| chunk.iter_mut())
    }
}

/// Returns the chunk of an element, and its offset in the chunk.
#[inline(always)]
const fn locate(index: usize) -> (usize, usize) {
    // With this offset, the highest set bit gives the size of the chunk, and the next three bits the chunk among those
    // of its size.
    let number = index as u64 + (ALIKE * FIRST_CHUNK) as u64;
    // `number` is never 0, which the compiler does not see.
    let bits = (number | 1).ilog2() - ALIKE.ilog2();
    let first = number >> bits;
    let chunk = first + (ALIKE * bits) as u64 - (ALIKE * (FIRST_CHUNK.ilog2() + 1)) as u64;
    (chunk as usize, (number ^ (first << bits)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use allocator_api2::alloc::Global;

    #[test]
    fn chunks_follow_each_other_without_a_gap() {
        let locations: std::vec::Vec<_> = (0..5000).map(locate).collect();
        assert_eq!((locations[0], locations[63], locations[64], locations[511]), ((0, 0), (0, 63), (1, 0), (7, 63)));
        assert_eq!((locations[512], locations[639], locations[640]), ((8, 0), (8, 127), (9, 0)));
        for pair in locations.windows(2) {
            let follows = if pair[0].0 == pair[1].0 { pair[1].1 == pair[0].1 + 1 } else { pair[1].1 == 0 };
            assert!(follows && pair[1].1 < (FIRST_CHUNK as usize) << (pair[1].0 / ALIKE as usize), "{pair:?}");
        }
    }

    #[test]
    fn keeps_what_it_is_given_and_ends_at_its_end() {
        let list = StableVec::new();
        for number in 0..1000_u32 {
            assert_eq!(list.add(&Global, |number| Cell::new(number + 1)).map(Cell::get), Some(number + 1));
            list.get(number as usize).unwrap().set(number);
        }
        assert!((0..1000).all(|number| list.get(number as usize).unwrap().get() == number));
        assert_eq!(list.len(), 1000);
        assert!(list.get(usize::MAX >> 1).is_none());
    }
}
