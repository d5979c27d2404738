//! The arena of regions: a file in memory, of which each region is a part.
//!
//! All of it is mapped here, region by region; processes of modules map the regions that they have open, each at the same
//! address as here.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use allocator_api2::alloc::Global;
use bareflow_loader::segments::PAGE_SIZE;
use bareflow_loader::{RangeAllocator, RegionMemory};
use libc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, MAP_NORESERVE, PROT_NONE, PROT_READ, PROT_WRITE};

use super::map;

/// The bytes of all regions together, of which only those that there are take memory.
const SPAN: u64 = 16 << 30;

/// The arena.
#[derive(Debug)]
pub(crate) struct RegionArena {
    base: u64,
    file: OwnedFd,
    /// The pages that no region has.
    ranges: RangeAllocator<Global>,
}

impl RegionArena {
    pub fn new() -> io::Result<RegionArena> {
        RegionArena::of_bytes(SPAN)
    }

    fn of_bytes(bytes: u64) -> io::Result<RegionArena> {
        let file = map::memory_file(c"bareflow-regions", bytes)?;
        let mut ranges = RangeAllocator::new_in(Global);
        ranges.free(0, bytes / PAGE_SIZE);
        Ok(RegionArena { base: map::reserve(SPAN)?, file, ranges })
    }

    /// Allocates a region of zeros.
    ///
    /// # Errors
    /// There are no memory or addresses for it, and nothing stays behind.
    pub fn allocate(&mut self, pages: u32) -> io::Result<RegionMemory> {
        let first = self.ranges.allocate(pages.into()).ok_or(io::ErrorKind::OutOfMemory)?;
        let memory = RegionMemory { address: self.base + first * PAGE_SIZE, pages };
        let (file, offset) = (self.file.as_raw_fd(), self.offset(&memory));
        // Without this, missing memory would only be noticed on access.
        map::change_file(file, 0, offset, memory.bytes())
            .and_then(|()| map::map_file(file, offset, memory.address, memory.bytes(), PROT_READ | PROT_WRITE))
            .inspect_err(|_| self.free(&memory))?;
        Ok(memory)
    }

    /// Frees a region, which is mapped nowhere else.
    pub fn free(&mut self, memory: &RegionMemory) {
        let (how, offset) = (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, self.offset(memory));
        let unmapped = map::map_over(memory.address, memory.bytes(), PROT_NONE, MAP_NORESERVE);
        let emptied = map::change_file(self.file.as_raw_fd(), how, offset, memory.bytes());
        // If either fails, its bytes may still be there, so that no other region may be.
        if unmapped.and(emptied).is_ok() {
            self.ranges.free(offset / PAGE_SIZE, memory.pages.into());
        }
    }

    /// Returns the file.
    pub fn file(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Returns where a region lies in the file, in bytes.
    pub const fn offset(&self, memory: &RegionMemory) -> u64 {
        memory.address - self.base
    }
}

impl Drop for RegionArena {
    fn drop(&mut self) {
        map::unmap(self.base, SPAN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the bytes of a region.
    fn bytes(memory: &RegionMemory) -> &'static mut [u8] {
        let start = std::ptr::with_exposed_provenance_mut(memory.address as usize);
        // SAFETY: the region is mapped, and used by this test alone, one slice at a time.
        unsafe { std::slice::from_raw_parts_mut(start, memory.bytes() as usize) }
    }

    #[test]
    fn rejects_what_it_has_no_room_for_and_gives_out_zeros() {
        let mut arena = RegionArena::of_bytes(8 * PAGE_SIZE).unwrap();
        let (small, large) = (arena.allocate(1).unwrap(), arena.allocate(7).unwrap());
        assert_eq!(arena.allocate(1).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
        for memory in [small, large] {
            assert!(bytes(&memory).iter().all(|&byte| byte == 0));
            bytes(&memory).fill(1);
            arena.free(&memory);
        }
        let whole = arena.allocate(8).unwrap();
        assert!(bytes(&whole).iter().all(|&byte| byte == 0));
        arena.free(&whole);
    }
}
