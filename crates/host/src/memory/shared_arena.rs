//! An arena whose images share pages: nothing is mapped or unmapped for an image.
//!
//! Text and rodata lie in a memory file that is mapped twice: once for modules, executable or read-only, and once for
//! the loader only, writable. Data is mapped once. A freed range is filled with traps and zeros, so the next image
//! there starts with zeros.

use std::io;
use std::os::fd::AsRawFd;
use std::ptr::with_exposed_provenance_mut;

use allocator_api2::alloc::Global;
use bareflow_abi::layout::{DATA_OFFSET, IMAGE_SPAN, MAX_SEGMENT_SIZE, RODATA_OFFSET};
use bareflow_loader::segments::{GRANULE_SIZE, PAGE_SIZE};
use bareflow_loader::{RangeAllocator, Segments};
use libc::{PROT_EXEC, PROT_READ, PROT_WRITE};

use super::map;

/// The fill byte of free text: an instruction that traps.
const TRAP: u8 = 0xcc;

/// The size from which data is returned to the system page by page instead of zeroed, in bytes.
const LARGE_BYTES: u64 = 128 << 10;

/// An arena.
#[derive(Debug)]
pub(crate) struct SharedArena {
    base: u64,
    /// The writable mapping of text and, after it, rodata.
    alias: u64,
    /// The granules of offsets that no image uses.
    ranges: RangeAllocator<Global>,
}

impl SharedArena {
    pub fn new() -> io::Result<SharedArena> {
        let mut arena = SharedArena { base: map::reserve_span()?, alias: 0, ranges: RangeAllocator::new_in(Global) };
        let file = map::memory_file(c"bareflow-modules", 2 * MAX_SEGMENT_SIZE)?;
        let file = file.as_raw_fd();
        let base = arena.base;
        map::map_file(file, 0, base, MAX_SEGMENT_SIZE, PROT_READ | PROT_EXEC)?;
        map::map_file(file, MAX_SEGMENT_SIZE, base + RODATA_OFFSET, MAX_SEGMENT_SIZE, PROT_READ)?;
        arena.alias = map::map_file(file, 0, 0, 2 * MAX_SEGMENT_SIZE, PROT_READ | PROT_WRITE)?;
        map::map_over(base + DATA_OFFSET, MAX_SEGMENT_SIZE, PROT_READ | PROT_WRITE, libc::MAP_NORESERVE)?;
        // Processes in which other modules run must not see it.
        map::keep_from_copies(base, IMAGE_SPAN)?;
        map::keep_from_copies(arena.alias, 2 * MAX_SEGMENT_SIZE)?;
        arena.ranges.free(0, MAX_SEGMENT_SIZE / GRANULE_SIZE);
        Ok(arena)
    }

    /// Allocates granules for one image, by count and alignment. Returns its base.
    #[inline]
    pub fn allocate(&mut self, (count, alignment): (u64, u64)) -> Option<u64> {
        self.ranges.allocate_aligned(count, alignment).map(|first| self.base + first * GRANULE_SIZE)
    }

    /// Whether the image at `base` lies in this arena.
    pub const fn has(&self, base: u64) -> bool {
        base >= self.base && base - self.base < MAX_SEGMENT_SIZE
    }

    /// Returns the distances from text, and from rodata, to their writable mappings.
    pub const fn write_offsets(&self) -> [u64; 2] {
        let text = self.alias.wrapping_sub(self.base);
        [text, text.wrapping_add(MAX_SEGMENT_SIZE).wrapping_sub(RODATA_OFFSET)]
    }

    /// Takes back an image's addresses, and fills them with traps and zeros.
    #[inline]
    pub fn free(&mut self, segments: &Segments) {
        let Segments { base, size, heap_bytes: heap } = *segments;
        let offset = base - self.base;
        fill(self.alias + offset, size.text_bytes as u64, TRAP);
        fill(self.alias + MAX_SEGMENT_SIZE + offset, size.rodata_bytes as u64, 0);
        let [.., (data, bytes)] = segments.all();
        let (heap_at, heap_size) = segments.heap();
        // Without a heap, the next image's data may begin on the same page.
        clear(data, if heap == 0 { bytes as u64 } else { heap_at + heap_size - data });
        let (count, _) = Segments::granules(&size, heap);
        self.ranges.free(offset / GRANULE_SIZE, count);
    }
}

impl Drop for SharedArena {
    fn drop(&mut self) {
        map::unmap(self.base, IMAGE_SPAN);
        if self.alias != 0 {
            map::unmap(self.alias, 2 * MAX_SEGMENT_SIZE);
        }
    }
}

/// Zeroes data; whole pages of a large range are returned to the system instead.
#[inline]
fn clear(start: u64, bytes: u64) {
    let (first, end) = (start.next_multiple_of(PAGE_SIZE), (start + bytes) & !(PAGE_SIZE - 1));
    if bytes < LARGE_BYTES || !map::discard(first, end - first) {
        return fill(start, bytes, 0);
    }
    fill(start, first - start, 0);
    fill(end, start + bytes - end, 0);
}

#[inline]
fn fill(start: u64, bytes: u64, byte: u8) {
    // Even a write of no bytes to an absent page may take hundreds of cycles on some processors, because of masked
    // stores.
    if bytes == 0 {
        return;
    }
    // SAFETY: the bytes lie in the arena, are writable, and belong to an image in which nothing runs any more.
    unsafe { with_exposed_provenance_mut::<u8>(start as usize).write_bytes(byte, bytes as usize) };
}
