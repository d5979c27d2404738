//! Memory in use.

use crate::format::segments::PAGE_SIZE;

/// Memory in use, or memory that a module has been given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The number of pages: segments, stack, heap, and the page tables that map them.
    pub pages: u64,
    /// The memory in pages that images share, in bytes.
    pub arena_bytes: u64,
    /// The memory of the loader's own tables, in bytes.
    pub table_bytes: u64,
}

impl core::ops::Add for Usage {
    type Output = Usage;

    fn add(self, other: Usage) -> Usage {
        Usage {
            pages: self.pages + other.pages,
            arena_bytes: self.arena_bytes + other.arena_bytes,
            table_bytes: self.table_bytes + other.table_bytes,
        }
    }
}

impl Usage {
    /// Returns all of it in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.pages * PAGE_SIZE + self.arena_bytes + self.table_bytes
    }

    /// Returns by how much this exceeds `after`.
    #[must_use]
    pub const fn saturating_sub(self, after: Usage) -> Usage {
        Usage {
            pages: self.pages.saturating_sub(after.pages),
            arena_bytes: self.arena_bytes.saturating_sub(after.arena_bytes),
            table_bytes: self.table_bytes.saturating_sub(after.table_bytes),
        }
    }
}

/// Memory in a module's own heap that the module has not freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leak {
    /// The number of blocks.
    pub blocks: u64,
    /// The size of the blocks, in bytes.
    pub bytes: u64,
}
