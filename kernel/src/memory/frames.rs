//! The allocator of the frames of physical memory.
//!
//! Fresh frames are taken from the regions in turn. Freed ones form a list, in which each frame holds the address of
//! the next.

use spin::Mutex;
use x86_64::PhysAddr;
use x86_64::structures::paging::{FrameAllocator, PhysFrame, Size4KiB};

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
    /// The number of free frames that are reserved.
    reserved: u64,
    /// The address at which physical memory is mapped.
    offset: u64,
}

static FRAMES: Mutex<Frames> =
    Mutex::new(Frames { fresh: [(0, 0); REGIONS], count: 0, returned: 0, free: 0, reserved: 0, offset: 0 });

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
#[cfg(feature = "rigs")]
pub fn free_frames() -> u64 {
    FRAMES.lock().free
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

/// Keeps up to `count` free frames from being allocated until they are unreserved; returns how many.
pub fn reserve(count: u64) -> u64 {
    let mut frames = FRAMES.lock();
    let count = count.min(frames.free - frames.reserved);
    frames.reserved += count;
    count
}

/// Ends the reservation of `count` frames.
pub fn unreserve(count: u64) {
    FRAMES.lock().reserved -= count;
}

/// Allocates a frame, with any contents; `None` if only reserved ones are left.
pub fn allocate() -> Option<PhysFrame> {
    let mut frames = FRAMES.lock();
    if frames.free <= frames.reserved {
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
    Some(PhysFrame::containing_address(PhysAddr::new(address)))
}

/// Frees a frame.
///
/// # Safety
/// [`allocate`] returned it, and nothing maps it any more.
pub unsafe fn release(frame: PhysFrame) {
    let mut frames = FRAMES.lock();
    let address = frame.start_address().as_u64();
    let next = (frames.offset + address) as *mut u64;
    // SAFETY: the frame came from `allocate`, so it is RAM that is mapped, and its user is done with it.
    unsafe { next.write(frames.returned) };
    frames.returned = address;
    frames.free += 1;
}

/// The allocator of the kernel's page tables, in the form that the `x86_64` crate requires.
pub struct Tables;

// SAFETY: a frame is handed out only once until it is freed.
unsafe impl FrameAllocator<Size4KiB> for Tables {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        allocate()
    }
}
