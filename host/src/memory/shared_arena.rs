//! An arena whose images share pages: nothing is mapped or unmapped when one comes or goes.
//!
//! Text and rodata lie in memory of their own that is mapped twice: where modules see it, executable or readable,
//! and elsewhere, writable, for the loader alone. Data is mapped once. Whoever takes an image's place finds zeros.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::with_exposed_provenance_mut;

use allocator_api2::alloc::Global;
use bareflow_abi::layout::{DATA_OFFSET, IMAGE_SPAN, MAX_SEGMENT_SIZE, RODATA_OFFSET};
use bareflow_loader::segments::{GRANULE_SIZE, PAGE_SIZE};
use bareflow_loader::{RangeAllocator, Segments};
use libc::{PROT_EXEC, PROT_READ, PROT_WRITE};

use super::map;

/// What free text is full of: an instruction that traps.
const TRAP: u8 = 0xcc;

/// From so many bytes on, data is given back to the system page by page, and not zeroed.
const LARGE_BYTES: u64 = 128 << 10;

/// An arena.
#[derive(Debug)]
pub(crate) struct SharedArena {
    base: u64,
    /// Where text and, behind it, rodata can be written.
    alias: u64,
    /// Granules of offsets that no image has.
    ranges: RangeAllocator<Global>,
}

impl SharedArena {
    pub fn new() -> io::Result<SharedArena> {
        let mut arena = SharedArena { base: map::reserve_span()?, alias: 0, ranges: RangeAllocator::new_in(Global) };
        let file = memory_file(2 * MAX_SEGMENT_SIZE)?;
        let file = file.as_raw_fd();
        let base = arena.base;
        map::map_file(file, 0, base, MAX_SEGMENT_SIZE, PROT_READ | PROT_EXEC)?;
        map::map_file(file, MAX_SEGMENT_SIZE, base + RODATA_OFFSET, MAX_SEGMENT_SIZE, PROT_READ)?;
        arena.alias = map::map_file(file, 0, 0, 2 * MAX_SEGMENT_SIZE, PROT_READ | PROT_WRITE)?;
        map::map_over(base + DATA_OFFSET, MAX_SEGMENT_SIZE, PROT_READ | PROT_WRITE, libc::MAP_NORESERVE)?;
        // Processes that other modules run in have no business with it.
        map::keep_from_copies(base, IMAGE_SPAN)?;
        map::keep_from_copies(arena.alias, 2 * MAX_SEGMENT_SIZE)?;
        arena.ranges.free(0, MAX_SEGMENT_SIZE / GRANULE_SIZE);
        Ok(arena)
    }

    /// The base of `count` granules for one image.
    #[inline]
    pub fn allocate(&mut self, (count, alignment): (u64, u64)) -> Option<u64> {
        self.ranges.allocate_aligned(count, alignment).map(|first| self.base + first * GRANULE_SIZE)
    }

    /// Whether an image lies here.
    pub const fn has(&self, base: u64) -> bool {
        base >= self.base && base - self.base < MAX_SEGMENT_SIZE
    }

    /// From where text lies to where it can be written, and the same for rodata.
    pub const fn write_offsets(&self) -> [u64; 2] {
        let text = self.alias.wrapping_sub(self.base);
        [text, text.wrapping_add(MAX_SEGMENT_SIZE).wrapping_sub(RODATA_OFFSET)]
    }

    /// Takes an image's place back, and leaves traps and zeros there.
    #[inline]
    pub fn free(&mut self, segments: &Segments) {
        let Segments { base, size, heap } = *segments;
        let offset = base - self.base;
        fill(self.alias + offset, size.text as u64, TRAP);
        fill(self.alias + MAX_SEGMENT_SIZE + offset, size.rodata as u64, 0);
        let [.., (data, bytes)] = segments.all();
        let (heap_at, heap_size) = segments.heap();
        // Without a heap the next image's data may begin on the same page.
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

/// Memory without a name, of which pages come when they are used.
fn memory_file(bytes: u64) -> io::Result<OwnedFd> {
    // SAFETY: the name is a C string.
    let file = unsafe { libc::memfd_create(c"bareflow-modules".as_ptr(), libc::MFD_CLOEXEC) };
    if file < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else's.
    let file = unsafe { OwnedFd::from_raw_fd(file) };
    // SAFETY: changes the size of a file that nobody has mapped yet.
    match unsafe { libc::ftruncate(file.as_raw_fd(), bytes.cast_signed()) } {
        0 => Ok(file),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes data zeros again: what is large by giving its whole pages back.
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
    // Filling no bytes of a page that is not there may take processors hundreds of cycles: masked stores do.
    if bytes == 0 {
        return;
    }
    // SAFETY: the bytes lie in the arena, writable, and belong to an image that nothing runs in any more.
    unsafe { with_exposed_provenance_mut::<u8>(start as usize).write_bytes(byte, bytes as usize) };
}
