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
    fn survives_a_round_trip() {
        let record = MemoryRecord { words: 1, initial_pages: 2, maximum_pages: 3, flags: MEMORY_NEEDS_WINDOW };
        assert_eq!(record.to_bytes(), [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(MemoryRecord::from_bytes(&record.to_bytes()), record);
    }
}
