//! Pages of the kernel's that a module of the user domain sees at another address.

use allocator_api2::alloc::Global;
use bareflow_loader::segments::PAGE_SIZE;
use bareflow_loader::{RangeAllocator, RegionMemory};
use spin::Mutex;

use crate::layout::{ALIAS_RANGE, ALIAS_RANGE_PAGES};
use crate::memory::page_tables::{self, MapError};

/// The free pages of the range of aliases.
static RANGES: Mutex<RangeAllocator<Global>> = Mutex::new(RangeAllocator::new_in(Global));

/// Opens the range of aliases.
pub fn init_alias_range() {
    RANGES.lock().free(0, ALIAS_RANGE_PAGES);
}

/// Zeroed pages that the kernel can write to.
#[derive(Debug)]
pub struct Pages {
    /// The address and the size.
    pub start: u64,
    pub size: u64,
}

impl Pages {
    /// Maps pages for `bytes`.
    pub fn new(bytes: u64) -> Result<Pages, MapError> {
        let size = bytes.next_multiple_of(PAGE_SIZE);
        let first = RANGES.lock().allocate(size / PAGE_SIZE).ok_or(MapError)?;
        let pages = Pages { start: ALIAS_RANGE + first * PAGE_SIZE, size };
        page_tables::map_zeroed_range(pages.start, size)?;
        Ok(pages)
    }

    /// Gives the pages away as a region.
    pub fn into_region(self) -> RegionMemory {
        let memory = RegionMemory { address: self.start, pages: (self.size / PAGE_SIZE) as u32 };
        core::mem::forget(self);
        memory
    }

    /// Takes the pages of a region back.
    pub const fn from_region(memory: &RegionMemory) -> Pages {
        Pages { start: memory.address, size: memory.bytes() }
    }

    /// Fills them with zeros.
    pub fn clear(&self) {
        // SAFETY: as in `write`.
        unsafe { (self.start as *mut u8).write_bytes(0, self.size as usize) };
    }

    /// Copies `bytes` to the beginning.
    pub fn write(&self, bytes: &[u8]) {
        let length = bytes.len().min(self.size as usize);
        // SAFETY: these pages are mapped writable and belong to this value only; the module that sees them is not
        // running.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start as *mut u8, length) };
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        page_tables::unmap_range(self.start, self.size);
        RANGES.lock().free((self.start - ALIAS_RANGE) / PAGE_SIZE, self.size / PAGE_SIZE);
    }
}
