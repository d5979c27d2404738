//! The linear memory of a module: memory that grows, at the start of a window of addresses of its own.
//!
//! WebAssembly has such memories. The record says how large it is; the loader writes two words into the module's data: the
//! address of the memory, and its current size in bytes. The service [`grow`](crate::Services::grow) adds pages.

use crate::fields::fields;

/// The size of a page of linear memory, in bytes.
pub const MEMORY_PAGE_SIZE: u64 = 64 << 10;

/// The largest number of pages that a memory may have: 4 GiB.
pub const MAX_MEMORY_PAGES: u32 = 1 << 16;

/// The size of a window, in bytes: the addresses that an access by a 32-bit index and a 32-bit offset can reach, and some
/// more for the accessed bytes themselves. All of them that are not memory fault.
pub const WINDOW_SIZE: u64 = (8 << 30) + (64 << 10);

/// The result of the service `grow` if the memory stays as it is.
pub const CANNOT_GROW: u64 = u64::MAX;

/// Flag: the code relies on the window. Without it, the code checks bounds itself.
pub const MEMORY_NEEDS_WINDOW: u32 = 1 << 0;

/// All flags that this version knows.
pub const KNOWN_MEMORY_FLAGS: u32 = MEMORY_NEEDS_WINDOW;

/// The size of a [`MemoryRecord`], in bytes.
pub const MEMORY_RECORD_SIZE: usize = 16;

/// The size of the two words in the module's data that the loader writes, in bytes.
pub const MEMORY_WORDS_SIZE: u32 = 16;

fields! {
    /// The record of a module's linear memory.
    MemoryRecord, MEMORY_RECORD_SIZE;
    /// The offset in data and bss of two `u64`: the memory's address, and its current size in bytes.
    words: u32,
    /// The number of pages at first.
    initial_pages: u32,
    /// The largest number of pages that the module may ever have; at most [`MAX_MEMORY_PAGES`].
    maximum_pages: u32,
    /// The `MEMORY_*` flags; all others are zero.
    flags: u32,
}

/// An error in the record of a linear memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadMemory {
    /// The record has another size.
    Size,
    /// The words lie beyond data and bss.
    Words,
    /// The maximum is above [`MAX_MEMORY_PAGES`].
    Maximum,
    /// There are more pages at first than there may ever be.
    Initial,
    /// A flag is unknown.
    Flags,
}

impl BadMemory {
    /// Returns a description for messages.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            BadMemory::Size => "the record does not have 16 bytes",
            BadMemory::Words => "its words lie beyond data and bss",
            BadMemory::Maximum => "its maximum is above 65536 pages",
            BadMemory::Initial => "it has more pages at first than at most",
            BadMemory::Flags => "a flag is unknown",
        }
    }
}

impl MemoryRecord {
    /// Reads the record of a module with `data_size` bytes of data and bss.
    ///
    /// # Errors
    /// The first value that can't be.
    pub fn read(bytes: &[u8], data_size: u32) -> Result<MemoryRecord, BadMemory> {
        let record = MemoryRecord::from_bytes(bytes.try_into().map_err(|_| BadMemory::Size)?);
        let end = record.words.checked_add(MEMORY_WORDS_SIZE);
        match record {
            _ if end.is_none_or(|end| end > data_size) => Err(BadMemory::Words),
            _ if record.maximum_pages > MAX_MEMORY_PAGES => Err(BadMemory::Maximum),
            _ if record.initial_pages > record.maximum_pages => Err(BadMemory::Initial),
            _ if record.flags & !KNOWN_MEMORY_FLAGS != 0 => Err(BadMemory::Flags),
            record => Ok(record),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_access_of_32_bits_leaves_the_window() {
        let furthest = u64::from(u32::MAX) + u64::from(u32::MAX);
        assert!(furthest + MEMORY_PAGE_SIZE <= WINDOW_SIZE);
        assert!(u64::from(MAX_MEMORY_PAGES) * MEMORY_PAGE_SIZE == 1 << 32);
    }

    #[test]
    fn rejects_what_can_not_be() {
        let good = MemoryRecord { words: 8, initial_pages: 2, maximum_pages: 2, flags: MEMORY_NEEDS_WINDOW };
        assert_eq!(MemoryRecord::read(&good.to_bytes(), 24), Ok(good));
        let largest = MemoryRecord { maximum_pages: MAX_MEMORY_PAGES, ..good };
        assert_eq!(MemoryRecord::read(&largest.to_bytes(), 24), Ok(largest));
        for (bad, why) in [
            (MemoryRecord { words: 9, ..good }, BadMemory::Words),
            (MemoryRecord { words: u32::MAX - 15, ..good }, BadMemory::Words),
            (MemoryRecord { maximum_pages: MAX_MEMORY_PAGES + 1, ..good }, BadMemory::Maximum),
            (MemoryRecord { initial_pages: 3, ..good }, BadMemory::Initial),
            (MemoryRecord { flags: 3, ..good }, BadMemory::Flags),
        ] {
            assert_eq!(MemoryRecord::read(&bad.to_bytes(), 24), Err(why), "{bad:?}");
        }
        assert_eq!(MemoryRecord::read(&good.to_bytes()[1..], 24), Err(BadMemory::Size));
    }

    #[test]
    fn survives_a_round_trip() {
        let record = MemoryRecord { words: 1, initial_pages: 2, maximum_pages: 3, flags: MEMORY_NEEDS_WINDOW };
        assert_eq!(record.to_bytes(), [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(MemoryRecord::from_bytes(&record.to_bytes()), record);
    }
}
