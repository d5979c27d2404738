//! The arena of shared pages for small images of the kernel domain. Once its pages are mapped, loading or unloading
//! such an image changes no page table.
//!
//! Text and rodata are mapped twice: executable or readable where modules see them, and writable elsewhere, only for
//! the loader. A freed part of rodata or data holds zeros.

use core::sync::atomic::{AtomicU64, Ordering};

use allocator_api2::alloc::Global;
use bareflow_abi::layout::{DATA_OFFSET, RODATA_OFFSET, TEXT_OFFSET};
use bareflow_loader::segments::{GRANULE_SIZE, PAGE_SIZE};
use bareflow_loader::{ImageSize, RangeAllocator, Segments, Usage};
use spin::Mutex;

use crate::layout::{IMAGES, SHARED_ARENA_BYTES, WRITE_ALIAS};
use crate::memory::frames;
use crate::memory::page_tables::{self, MapError, READ_EXECUTE, READ_ONLY};

/// The size of the largest segment that lies here, in bytes.
const LARGEST_SEGMENT_BYTES: u64 = 16 << 10;

/// The filling of free text: an instruction that traps.
const TRAP: u8 = 0xcc;

/// The state of the arena.
struct SharedArena {
    /// The granules of offsets that are free.
    ranges: RangeAllocator<Global>,
    /// The bytes of text, of rodata and of data, from the arena's start on, that have pages.
    mapped: [u64; 3],
}

static SHARED_ARENA: Mutex<SharedArena> =
    Mutex::new(SharedArena { ranges: RangeAllocator::new_in(Global), mapped: [0; 3] });

/// The bytes that images take.
static USED: AtomicU64 = AtomicU64::new(0);

/// Opens the arena.
pub fn open() {
    SHARED_ARENA.lock().ranges.free(0, SHARED_ARENA_BYTES / GRANULE_SIZE);
}

/// Returns whether an image of `size`, with `heap` bytes of heap, lies here.
pub const fn fits(size: &ImageSize, heap: u32) -> bool {
    heap == 0
        && size.text_bytes as u64 <= LARGEST_SEGMENT_BYTES
        && size.rodata_bytes as u64 <= LARGEST_SEGMENT_BYTES
        && size.data_bytes as u64 <= LARGEST_SEGMENT_BYTES
}

/// Allocates room for an image; returns its base and the number of granules it takes.
#[inline(always)]
pub fn allocate(size: &ImageSize) -> Result<(u64, u32), MapError> {
    let (count, alignment) = Segments::granules(size, 0);
    let mut arena = SHARED_ARENA.lock();
    let first = arena.ranges.allocate_aligned(count, alignment).ok_or(MapError)?;
    let offset = first * GRANULE_SIZE;
    let grown = arena
        .grow_for(0, offset, size.text_bytes)
        .and_then(|()| arena.grow_for(1, offset, size.rodata_bytes))
        .and_then(|()| arena.grow_for(2, offset, size.data_bytes));
    if grown.is_err() {
        arena.ranges.free(first, count);
        return Err(MapError);
    }
    USED.fetch_add(count * GRANULE_SIZE, Ordering::Relaxed);
    // No segment is larger than `LARGEST_SEGMENT_BYTES`.
    Ok((IMAGES + offset, count as u32))
}

/// Frees the room of an image that takes `granules` granules, and leaves traps and zeros there.
#[inline(always)]
pub fn free(segments: &Segments, granules: u32) {
    wipe(segments);
    let count = u64::from(granules);
    let mut arena = SHARED_ARENA.lock();
    USED.fetch_sub(count * GRANULE_SIZE, Ordering::Relaxed);
    arena.ranges.free((segments.base - IMAGES) / GRANULE_SIZE, count);
}

/// Leaves traps and zeros in an image in which nothing runs any more.
#[inline(always)]
pub fn wipe(segments: &Segments) {
    let ([text, rodata, data], [text_shift, rodata_shift, data_shift]) = (segments.all(), write_offsets());
    fill(text, text_shift, TRAP);
    if rodata.1 + data.1 > 0 {
        clear(rodata, rodata_shift);
        clear(data, data_shift);
    }
}

/// Fills a freed segment of an image, up to the end of its last granule. The writes go to the segment's address plus
/// `shift`.
#[inline(always)]
fn fill((start, bytes): (u64, usize), shift: u64, filling: u8) {
    // The length is a constant, so each granule takes a few stores and no call.
    for address in (0..bytes as u64).step_by(GRANULE_SIZE as usize) {
        let granule = start.wrapping_add(shift).wrapping_add(address) as *mut u8;
        // SAFETY: the granule lies in the arena, writable at this address, and belongs to an image in which nothing
        // runs any more.
        unsafe { granule.write_bytes(filling, GRANULE_SIZE as usize) };
    }
}

/// Fills a freed segment with zeros. Fewer images need this.
#[inline(never)]
fn clear(segment: (u64, usize), shift: u64) {
    fill(segment, shift, 0);
}

/// Returns the distance from each segment's address to its writable alias: for text, rodata and data.
pub const fn write_offsets() -> [u64; 3] {
    let text = WRITE_ALIAS.wrapping_sub(IMAGES);
    [text, text.wrapping_add(SHARED_ARENA_BYTES).wrapping_sub(RODATA_OFFSET), 0]
}

/// Returns the usage of an image of `granules` granules.
#[inline(always)]
pub fn usage(granules: u32) -> Usage {
    Usage { arena_bytes: u64::from(granules) * GRANULE_SIZE, ..Usage::default() }
}

/// Returns the bytes that images take.
#[inline]
pub fn used() -> u64 {
    USED.load(Ordering::Relaxed)
}

impl SharedArena {
    /// Maps the pages that an image's segment needs and that have none yet.
    #[inline(always)]
    fn grow_for(&mut self, index: usize, offset: u64, size: u32) -> Result<(), MapError> {
        let end = if size == 0 { 0 } else { offset + u64::from(size) };
        if end > self.mapped[index] { self.grow(index, end) } else { Ok(()) }
    }

    /// Maps pages up to `end` in the part of segment `index`.
    #[cold]
    fn grow(&mut self, index: usize, end: u64) -> Result<(), MapError> {
        let before = frames::taken_frames();
        let grown = self.map_up_to(index, end);
        frames::share(frames::taken_frames() - before);
        grown
    }

    fn map_up_to(&mut self, index: usize, end: u64) -> Result<(), MapError> {
        while self.mapped[index] < end {
            let offset = self.mapped[index];
            let address = IMAGES + offset + [TEXT_OFFSET, RODATA_OFFSET, DATA_OFFSET][index];
            let alias = address.wrapping_add(write_offsets()[index]);
            let flags = [READ_EXECUTE, READ_ONLY][index.min(1)];
            page_tables::map_zeroed_range(alias, PAGE_SIZE)?;
            if alias != address {
                page_tables::map_alias(alias, address, flags)
                    .inspect_err(|_| page_tables::unmap_range(alias, PAGE_SIZE))?;
            }
            self.mapped[index] += PAGE_SIZE;
        }
        Ok(())
    }
}
