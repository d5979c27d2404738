//! The allocator of the frames of physical memory.
//!
//! Fresh frames are taken from the regions in turn. Freed ones form a list, in which each frame holds the address of
//! the next.

use core::sync::atomic::{AtomicU64, Ordering};

use spin::Mutex;
use x86_64::PhysAddr;
use x86_64::structures::paging::{FrameAllocator, FrameDeallocator, PhysFrame, Size4KiB};

use super::layout::PAGE_SIZE;

/// The most regions that are kept; further ones stay unused.
const REGIONS: usize = 64;

struct Frames {
    /// The start and the end of the part of each region that is still fresh.
    fresh: [(u64, u64); REGIONS],
    count: usize,
    /// The address of the first freed frame; 0 for none.
    returned: u64,
    free: u64,
    /// The number of free frames that are promised: see [`Promise`].
    promised: u64,
    /// The address at which physical memory is mapped.
    offset: u64,
}

static FRAMES: Mutex<Frames> =
    Mutex::new(Frames { fresh: [(0, 0); REGIONS], count: 0, returned: 0, free: 0, promised: 0, offset: 0 });

/// The number of frames that are allocated, without those that many share.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// The ends of the memory that firmware and boot loaders have executed code in. The first MiB is the firmware's; boot
/// loaders for a BIOS stay below 16 MiB.
const LOADERS: u64 = 1 << 20;
const UNTOUCHED: u64 = 16 << 20;

/// Adds regions, each given as start and end. `offset` is where physical memory is mapped now.
pub fn add_all(regions: impl Iterator<Item = (u64, u64)> + Clone, offset: u64) {
    let mut frames = FRAMES.lock();
    frames.offset = offset;
    // Frames that boot loaders used come last. An emulator that translates code checks each write to a page from
    // which it has once translated code: a stack there makes every call about a hundred times slower.
    let high = regions.clone().map(|(start, end)| (start.max(UNTOUCHED), end));
    let low = regions.map(|(start, end)| (start.max(LOADERS), end.min(UNTOUCHED)));
    for (start, end) in high.chain(low) {
        // Frame 0 would look like the end of the list.
        let start = start.next_multiple_of(PAGE_SIZE);
        let end = end & !(PAGE_SIZE - 1);
        let count = frames.count;
        if start < end
            && let Some(region) = frames.fresh.get_mut(count)
        {
            *region = (start, end);
            frames.count += 1;
            frames.free += (end - start) / PAGE_SIZE;
        }
    }
}

/// Sets the address at which physical memory is mapped from now on.
pub fn use_offset(offset: u64) {
    FRAMES.lock().offset = offset;
}

/// Returns the number of free frames.
pub fn free_frames() -> u64 {
    FRAMES.lock().free
}

/// Returns the number of allocated frames, without those that many share.
#[inline]
pub fn taken_frames() -> u64 {
    TAKEN.load(Ordering::Relaxed)
}

/// Marks `count` allocated frames as shared by many.
pub fn share(count: u64) {
    TAKEN.fetch_sub(count, Ordering::Relaxed);
}

/// Takes a contiguous piece out of the largest region: `wanted` bytes, or `parts` of `of` equal parts of the region
/// if that is less. Returns its address and size.
pub fn allocate_largest(wanted: u64, (parts, of): (u64, u64)) -> (u64, u64) {
    let mut frames = FRAMES.lock();
    let Some(region) = frames.fresh.iter_mut().max_by_key(|(start, end)| end - start) else { return (0, 0) };
    let size = wanted.min((region.1 - region.0) / of * parts) & !(PAGE_SIZE - 1);
    region.1 -= size;
    let start = region.1;
    frames.free -= size / PAGE_SIZE;
    (start, size)
}

/// A number of free frames that stay free until their owner needs them.
#[derive(Debug)]
pub struct Promise(AtomicU64);

impl Promise {
    /// Promises `count` frames; `None` if fewer are free and not promised.
    pub fn new(count: u64) -> Option<Promise> {
        let mut frames = FRAMES.lock();
        if frames.free - frames.promised < count {
            return None;
        }
        frames.promised += count;
        Some(Promise(AtomicU64::new(count)))
    }

    /// Ends the promise, so that the frames can be allocated. Returns their number.
    pub fn redeem(&self) -> u64 {
        let count = self.0.swap(0, Ordering::Relaxed);
        FRAMES.lock().promised -= count;
        count
    }

    /// Promises up to `count` frames again that came back unused.
    pub fn renew(&self, count: u64) {
        let mut frames = FRAMES.lock();
        let count = count.min(frames.free - frames.promised);
        frames.promised += count;
        self.0.store(count, Ordering::Relaxed);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let _ = self.redeem();
    }
}

/// Allocates a frame, with any contents; `None` if only promised ones are left.
pub fn allocate() -> Option<PhysFrame> {
    let mut frames = FRAMES.lock();
    if frames.free <= frames.promised {
        return None;
    }
    let address = if frames.returned != 0 {
        let address = frames.returned;
        let next = (frames.offset + address) as *const u64;
        // SAFETY: the frame is on the list, so it is mapped, belongs to no one else, and begins with the address of
        // the next.
        frames.returned = unsafe { next.read() };
        address
    } else {
        let region = frames.fresh.iter_mut().find(|(start, end)| start < end)?;
        let address = region.0;
        region.0 += PAGE_SIZE;
        address
    };
    frames.free -= 1;
    TAKEN.fetch_add(1, Ordering::Relaxed);
    Some(PhysFrame::containing_address(PhysAddr::new(address)))
}

/// Frees a frame that [`allocate`] returned and nothing maps any more.
pub fn release(frame: PhysFrame) {
    let mut frames = FRAMES.lock();
    let address = frame.start_address().as_u64();
    let next = (frames.offset + address) as *mut u64;
    // SAFETY: the frame came from `allocate`, so it is RAM that is mapped, and its user is done with it.
    unsafe { next.write(frames.returned) };
    frames.returned = address;
    frames.free += 1;
    TAKEN.fetch_sub(1, Ordering::Relaxed);
}

/// The allocator of page tables that all modules share, in the form that the `x86_64` crate requires.
pub struct SharedTables;

// SAFETY: a frame is handed out only once until it is freed.
unsafe impl FrameAllocator<Size4KiB> for SharedTables {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let frame = allocate()?;
        share(1);
        Some(frame)
    }
}

impl FrameDeallocator<Size4KiB> for SharedTables {
    unsafe fn deallocate_frame(&mut self, frame: PhysFrame) {
        TAKEN.fetch_add(1, Ordering::Relaxed);
        release(frame);
    }
}

/// The allocator of page tables that belong to one module.
pub struct OwnTables;

// SAFETY: as above.
unsafe impl FrameAllocator<Size4KiB> for OwnTables {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        allocate()
    }
}
