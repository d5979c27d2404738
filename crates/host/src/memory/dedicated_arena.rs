//! Address ranges for images with pages of their own.
//!
//! These are images of the user domain, which move to a process of their own and leave nothing here.

use std::io;

use allocator_api2::alloc::Global;
use bareflow_abi::layout::{IMAGE_SPAN, MAX_SEGMENT_SIZE};
use bareflow_loader::segments::PAGE_SIZE;
use bareflow_loader::{RangeAllocator, Segments};
use libc::{MAP_NORESERVE, PROT_EXEC, PROT_NONE, PROT_READ, PROT_WRITE};

use super::map;

/// An arena.
#[derive(Debug)]
pub(crate) struct DedicatedArena {
    base: u64,
    /// The pages of offsets that no image uses.
    ranges: RangeAllocator<Global>,
}

impl DedicatedArena {
    pub fn new() -> io::Result<DedicatedArena> {
        let mut ranges = RangeAllocator::new_in(Global);
        ranges.free(0, MAX_SEGMENT_SIZE / PAGE_SIZE);
        Ok(DedicatedArena { base: map::reserve_span()?, ranges })
    }

    /// Allocates `pages` pages for one image. Returns its base.
    pub fn allocate(&mut self, pages: u64) -> Option<u64> {
        self.ranges.allocate(pages).map(|first| self.base + first * PAGE_SIZE)
    }

    /// Whether the image at `base` lies in this arena.
    pub const fn has(&self, base: u64) -> bool {
        base >= self.base && base - self.base < MAX_SEGMENT_SIZE
    }

    /// Takes back an image's pages and addresses.
    pub fn free(&mut self, segments: &Segments) {
        // If this fails, the pages stay mapped, so their addresses must not be used again.
        if unmap_image(segments).is_ok() {
            let pages = Segments::pages(&segments.size, segments.heap_bytes);
            self.ranges.free((segments.base - self.base) / PAGE_SIZE, pages);
        }
    }
}

impl Drop for DedicatedArena {
    fn drop(&mut self) {
        map::unmap(self.base, IMAGE_SPAN);
    }
}

/// Maps zeroed, writable pages for an image.
pub(crate) fn map_writable(segments: &Segments) -> io::Result<()> {
    mapped(segments).try_for_each(|(start, bytes)| map::map_over(start, bytes, PROT_READ | PROT_WRITE, 0))
}

/// Gives text and rodata their final permissions; data already has them.
pub(crate) fn protect(segments: &Segments) -> Result<(), u64> {
    let [text, rodata, _] = segments.mapped();
    for ((start, bytes), protection) in [(text, PROT_READ | PROT_EXEC), (rodata, PROT_READ)] {
        map::protect(start, bytes, protection).map_err(|_| bytes)?;
    }
    Ok(())
}

/// Returns an image's memory to the system, but keeps the addresses reserved.
pub(crate) fn unmap_image(segments: &Segments) -> io::Result<()> {
    mapped(segments).try_for_each(|(start, bytes)| map::map_over(start, bytes, PROT_NONE, MAP_NORESERVE))
}

/// Returns the address and length of each segment that has pages.
fn mapped(segments: &Segments) -> impl Iterator<Item = (u64, u64)> + use<> {
    segments.mapped().into_iter().filter(|&(_, bytes)| bytes > 0)
}
