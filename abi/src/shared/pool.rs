//! A pool of buffers whose indices travel.

use core::fmt;

/// The record of which buffers were taken: one bit for each, in memory of the owner's alone, such as its state.
///
/// The buffers lie in a region; their indices travel by rings, and come back. An index is checked when it does.
///
/// ```
/// use bareflow_abi::shared::{Pool, PoolError};
///
/// let mut taken = [0; 1];
/// let mut pool = Pool::new(&mut taken, 2);
/// assert_eq!((pool.take(), pool.take(), pool.take()), (Some(0), Some(1), None));
/// assert_eq!(pool.give(1), Ok(()));
/// assert_eq!(pool.give(1), Err(PoolError::NotTaken));
/// assert_eq!(pool.give(2), Err(PoolError::NoSuchBuffer));
/// ```
#[derive(Debug)]
pub struct Pool<'record> {
    taken: &'record mut [u64],
    count: u32,
}

/// An error of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolError {
    /// There is no buffer with this index.
    NoSuchBuffer,
    /// The buffer is not taken: it was given back before.
    NotTaken,
}

impl fmt::Display for PoolError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            PoolError::NoSuchBuffer => "the pool has no such buffer",
            PoolError::NotTaken => "the buffer is not taken",
        })
    }
}

impl<'record> Pool<'record> {
    /// Returns the pool of `count` buffers, or of as many as `taken` has bits for. The bits are zeros at first.
    #[must_use]
    pub fn new(taken: &'record mut [u64], count: u32) -> Pool<'record> {
        let bits = u32::try_from(taken.len().saturating_mul(64)).unwrap_or(u32::MAX);
        Pool { taken, count: count.min(bits) }
    }

    /// Takes the free buffer with the lowest index; `None` if none is free.
    pub fn take(&mut self) -> Option<u32> {
        let free = |(word, taken): (usize, &mut u64)| (*taken != u64::MAX).then(|| (word, taken.trailing_ones()));
        let (word, bit) = self.taken.iter_mut().enumerate().find_map(free)?;
        let index = u32::try_from(word * 64).ok()? + bit;
        if index >= self.count {
            return None;
        }
        *self.taken.get_mut(word)? |= 1 << bit;
        Some(index)
    }

    /// Gives a buffer back.
    ///
    /// # Errors
    /// There is no such buffer, or it is not taken.
    pub fn give(&mut self, index: u32) -> Result<(), PoolError> {
        let word = self.taken.get_mut(index as usize / 64).filter(|_| index < self.count);
        let (word, bit) = (word.ok_or(PoolError::NoSuchBuffer)?, 1 << (index % 64));
        if *word & bit == 0 {
            return Err(PoolError::NotTaken);
        }
        *word &= !bit;
        Ok(())
    }

    /// Returns the number of buffers that are taken.
    #[must_use]
    pub fn taken_count(&self) -> u32 {
        self.taken.iter().map(|word| word.count_ones()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_each_buffer_to_one_at_a_time() {
        for count in [0, 1, 63, 64, 65, 128, 1000] {
            let mut taken = [0; 2];
            let mut pool = Pool::new(&mut taken, count);
            let there = count.min(128);
            (0..there).for_each(|index| assert_eq!(pool.take(), Some(index)));
            assert_eq!((pool.take(), pool.taken_count()), (None, there));
            for index in (0..there).step_by(3) {
                assert_eq!(pool.give(index), Ok(()));
                assert_eq!(pool.give(index), Err(PoolError::NotTaken));
            }
            for index in [there, 128, 129, 1 << 31, u32::MAX] {
                assert_eq!(pool.give(index), Err(PoolError::NoSuchBuffer), "{index}");
            }
            (0..there).step_by(3).for_each(|index| assert_eq!(pool.take(), Some(index)));
            assert_eq!(pool.take(), None);
        }
    }
}
