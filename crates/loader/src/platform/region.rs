//! Memory that modules share, as a platform has it.

/// The memory of a region: whole pages, from [`allocate_region`](super::Platform::allocate_region) to
/// [`free_region`](super::Platform::free_region).
#[derive(Debug, PartialEq, Eq)]
pub struct RegionMemory {
    /// The address where the embedder reaches it.
    pub address: u64,
    /// The number of pages.
    pub pages: u32,
}

impl RegionMemory {
    /// Returns the size, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.pages as u64 * crate::format::segments::PAGE_SIZE
    }
}
