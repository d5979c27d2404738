//! The linear memory of a module, as a platform is asked for it.

use bareflow_abi::memory::{MEMORY_NEEDS_WINDOW, MEMORY_PAGE_SIZE, MemoryRecord};

use crate::error::LoadError;
use crate::policy::budget::Budget;

/// The linear memory that a module gets: its record, within its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearMemory {
    /// The offset of its two words in data and bss: the address, and the current size in bytes.
    pub words: u32,
    /// The number of pages at first.
    pub initial_pages: u32,
    /// The largest number of pages.
    pub maximum_pages: u32,
    /// Whether the code relies on a window of [`WINDOW_SIZE`](bareflow_abi::memory::WINDOW_SIZE).
    pub needs_window: bool,
}

impl LinearMemory {
    /// Returns the memory that the record asks for, within `budget`.
    pub(crate) fn within(record: &MemoryRecord, budget: &Budget) -> Result<LinearMemory, LoadError> {
        let MemoryRecord { words, initial_pages, maximum_pages, flags } = *record;
        let maximum_pages = maximum_pages.min(budget.memory_pages());
        if initial_pages > maximum_pages {
            let found = u64::from(initial_pages) * MEMORY_PAGE_SIZE;
            return Err(LoadError::MemoryBudget { found, limit: budget.memory_bytes });
        }
        Ok(LinearMemory { words, initial_pages, maximum_pages, needs_window: flags & MEMORY_NEEDS_WINDOW != 0 })
    }

    /// Returns the size at first, in bytes.
    #[must_use]
    pub const fn initial_bytes(&self) -> u64 {
        self.initial_pages as u64 * MEMORY_PAGE_SIZE
    }

    /// Returns the largest size, in bytes.
    #[must_use]
    pub const fn maximum_bytes(&self) -> u64 {
        self.maximum_pages as u64 * MEMORY_PAGE_SIZE
    }

    /// Returns the size in bytes after `pages` were added to a memory of `bytes`; `None` if that is too large.
    #[must_use]
    pub fn grown(&self, bytes: u64, pages: u64) -> Option<u64> {
        let grown = pages.checked_mul(MEMORY_PAGE_SIZE)?.checked_add(bytes)?;
        (grown <= self.maximum_bytes()).then_some(grown)
    }
}
