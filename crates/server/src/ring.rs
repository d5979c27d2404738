//! A ring of entries: bounded, and the oldest is overwritten.

use alloc::vec::Vec;

use bareflow_suite::fallible::{NoMemory, collect};

/// The last entries of a sequence, in which each has its number, counted from 0.
#[derive(Clone, Debug)]
pub struct Ring<T> {
    entries: Vec<T>,
    capacity: usize,
    written: u64,
}

impl<T: Copy> Ring<T> {
    /// Creates a ring without room: it counts entries, and keeps none.
    #[must_use]
    pub const fn new() -> Ring<T> {
        Ring { entries: Vec::new(), capacity: 0, written: 0 }
    }

    /// Creates a ring with room for `capacity` entries; adding them allocates nothing more.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn with_capacity(capacity: usize) -> Result<Ring<T>, NoMemory> {
        let mut entries = Vec::new();
        entries.try_reserve_exact(capacity)?;
        Ok(Ring { entries, capacity, written: 0 })
    }

    /// Adds an entry, in place of the oldest if there is no room.
    pub fn push(&mut self, entry: T) {
        if self.entries.len() < self.capacity {
            self.entries.push(entry);
        } else if let Some(oldest) = self.index(self.written).and_then(|index| self.entries.get_mut(index)) {
            *oldest = entry;
        }
        self.written += 1;
    }

    /// Returns the number of entries so far: that of the next one.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Copies at most `count` entries from number `from` on, as far as they are still there. Returns the number of the
    /// first one, too: those from `from` up to it are lost.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn read(&self, from: u64, count: usize) -> Result<(u64, Vec<T>), NoMemory> {
        let first = from.clamp(self.written - self.entries.len() as u64, self.written);
        let end = self.written.min(first.saturating_add(count as u64));
        let entry = |number| self.entries.get(self.index(number)?).copied();
        Ok((first, collect((first..end).filter_map(entry).map(Ok::<_, NoMemory>))?))
    }

    /// Returns the place of an entry with a number; `None` without room.
    fn index(&self, number: u64) -> Option<usize> {
        number.checked_rem(self.capacity as u64).map(|index| index as usize)
    }
}

impl<T: Copy> Default for Ring<T> {
    fn default() -> Ring<T> {
        Ring::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counts_what_it_has_no_room_for() {
        let mut ring = Ring::new();
        (0..5).for_each(|entry| ring.push(entry));
        assert_eq!((ring.written(), ring.read(0, 9)), (5, Ok((5, Vec::new()))));
    }

    #[test]
    fn refuses_more_than_there_is_memory_for() {
        assert_eq!(Ring::<u64>::with_capacity(usize::MAX).err(), Some(NoMemory));
    }

    proptest! {
        /// Reads what a list of everything has at its end, from any position, in pieces of any length.
        #[test]
        fn keeps_the_last_entries_around_every_wrap(
            capacity in 0_usize..9, before in 0_u64..40, behind in 0_u64..40, from in 0_u64..99, count in 0_usize..12
        ) {
            let mut ring = Ring::with_capacity(capacity).unwrap();
            (0..before).for_each(|entry| ring.push(entry));
            // Reading changes nothing.
            let _ = ring.read(from, count);
            (before..before + behind).for_each(|entry| ring.push(entry));
            let written = before + behind;
            prop_assert_eq!(ring.written(), written);
            let oldest = written.saturating_sub(capacity as u64);
            let first = from.clamp(oldest, written);
            let expected: Vec<u64> = (first..written).take(count).collect();
            prop_assert_eq!(ring.read(from, count), Ok((first, expected)));
        }
    }
}
