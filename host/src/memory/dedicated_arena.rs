//! Addresses for images with pages of their own: those of the user domain, which go into a process of their
//! own and leave nothing here.

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
    /// Pages of offsets that no image has.
    ranges: RangeAllocator<Global>,
}

impl DedicatedArena {
    pub fn new() -> io::Result<DedicatedArena> {
        let mut ranges = RangeAllocator::new_in(Global);
        ranges.free(0, MAX_SEGMENT_SIZE / PAGE_SIZE);
        Ok(DedicatedArena { base: map::reserve_span()?, ranges })
    }

    /// The base of `pages` for one image.
    pub fn allocate(&mut self, pages: u64) -> Option<u64> {
        self.ranges.allocate(pages).map(|first| self.base + first * PAGE_SIZE)
    }

    /// Whether an image lies here.
    pub const fn has(&self, base: u64) -> bool {
        base >= self.base && base - self.base < MAX_SEGMENT_SIZE
    }

    /// Takes an image's pages and its place back.
    pub fn free(&mut self, segments: &Segments) {
        // Where this fails the pages stay, and so do their addresses: nothing may be placed there.
        if unmap_image(segments).is_ok() {
            let pages = Segments::pages(&segments.size, segments.heap);
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

/// Gives text and rodata their final permissions; data has its own already.
pub(crate) fn protect(segments: &Segments) -> Result<(), u64> {
    let [text, rodata, _] = segments.mapped();
    for ((start, bytes), protection) in [(text, PROT_READ | PROT_EXEC), (rodata, PROT_READ)] {
        map::protect(start, bytes, protection).map_err(|_| bytes)?;
    }
    Ok(())
}

/// Gives an image's memory back, but not its addresses.
pub(crate) fn unmap_image(segments: &Segments) -> io::Result<()> {
    mapped(segments).try_for_each(|(start, bytes)| map::map_over(start, bytes, PROT_NONE, MAP_NORESERVE))
}

/// Address and length of what segments have pages for.
fn mapped(segments: &Segments) -> impl Iterator<Item = (u64, u64)> + use<> {
    segments.mapped().into_iter().filter(|&(_, bytes)| bytes > 0)
}
