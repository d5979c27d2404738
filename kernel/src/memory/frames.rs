//! The frames of physical memory that nobody uses.
//!
//! Fresh frames are taken from the regions in turn; those that were given back
//! form a list, each frame holding the address of the next one.

use core::sync::atomic::{AtomicU64, Ordering};

use spin::Mutex;
use x86_64::PhysAddr;
use x86_64::structures::paging::{FrameAllocator, FrameDeallocator, PhysFrame, Size4KiB};

use super::layout::PAGE_SIZE;

/// Regions that are kept; further ones stay unused.
const REGIONS: usize = 64;

struct Frames {
    /// Start and end of what is still fresh in each region.
    fresh: [(u64, u64); REGIONS],
    count: usize,
    /// Address of the first frame that was given back; 0 for none.
    returned: u64,
    free: u64,
    /// Of the free ones, those that are promised: see [`Promise`].
    promised: u64,
    /// Where physical memory is mapped.
    offset: u64,
}

static FRAMES: Mutex<Frames> =
    Mutex::new(Frames { fresh: [(0, 0); REGIONS], count: 0, returned: 0, free: 0, promised: 0, offset: 0 });

/// Frames that were handed out and did not come back, but for those that many share.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Where memory begins that nobody's code lay in: the first MiB is the firmware's, and what boot loaders for a BIOS do,
/// they do below 16 MiB.
const LOADERS: u64 = 1 << 20;
const UNTOUCHED: u64 = 16 << 20;

/// Adds regions, each from its start to its end. `offset` is where physical memory is mapped now.
pub fn add_all(regions: impl Iterator<Item = (u64, u64)> + Clone, offset: u64) {
    let mut frames = FRAMES.lock();
    frames.offset = offset;
    // Frames that boot loaders used come last. An emulator that translates code looks closely at each write to a page
    // whose code it has translated once: a stack there makes every call take some hundred times as long.
    let high = regions.clone().map(|(start, end)| (start.max(UNTOUCHED), end));
    let low = regions.map(|(start, end)| (start.max(LOADERS), end.min(UNTOUCHED)));
    for (start, end) in high.chain(low) {
        // Frame 0 would be taken for the end of the list.
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

/// Physical memory is mapped elsewhere from now on.
pub fn use_offset(offset: u64) {
    FRAMES.lock().offset = offset;
}

/// How many frames are free.
pub fn free_frames() -> u64 {
    FRAMES.lock().free
}

/// How many frames somebody has, but for those that many share.
#[inline]
pub fn taken_frames() -> u64 {
    TAKEN.load(Ordering::Relaxed)
}

/// So many frames, which were handed out before, are for many from now on.
pub fn share(count: u64) {
    TAKEN.fetch_sub(count, Ordering::Relaxed);
}

/// Takes a piece in a row out of the largest region: `wanted` bytes, or so many of so many parts of the
/// region if that is less. Returns its address and size.
pub fn allocate_largest(wanted: u64, (parts, of): (u64, u64)) -> (u64, u64) {
    let mut frames = FRAMES.lock();
    let Some(region) = frames.fresh.iter_mut().max_by_key(|(start, end)| end - start) else { return (0, 0) };
    let size = wanted.min((region.1 - region.0) / of * parts) & !(PAGE_SIZE - 1);
    region.1 -= size;
    let start = region.1;
    frames.free -= size / PAGE_SIZE;
    (start, size)
}

/// Frames that are free, and stay so until whoever they are promised to needs them.
#[derive(Debug)]
pub struct Promise(AtomicU64);

impl Promise {
    /// Promises so many frames; `None` where fewer are free and not promised.
    pub fn new(count: u64) -> Option<Promise> {
        let mut frames = FRAMES.lock();
        if frames.free - frames.promised < count {
            return None;
        }
        frames.promised += count;
        Some(Promise(AtomicU64::new(count)))
    }

    /// Ends the promise: the frames can be allocated now. Returns how many those are.
    pub fn redeem(&self) -> u64 {
        let count = self.0.swap(0, Ordering::Relaxed);
        FRAMES.lock().promised -= count;
        count
    }

    /// Promises frames again that came back unused.
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

/// One frame, with whatever was in it; `None` where none is left but those that are promised.
pub fn allocate() -> Option<PhysFrame> {
    let mut frames = FRAMES.lock();
    if frames.free <= frames.promised {
        return None;
    }
    let address = if frames.returned != 0 {
        let address = frames.returned;
        let next = (frames.offset + address) as *const u64;
        // SAFETY: the frame is on the list: it is mapped, nobody's, and begins with the next one's address.
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

/// Gives a frame back that [`allocate`] gave and nothing maps any more.
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

/// Frames for the page tables that everybody shares, as the paging code of the `x86_64` crate wants them.
pub struct SharedTables;

// SAFETY: a frame is handed out once until it is given back.
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

/// Frames for page tables that are one module's own.
pub struct OwnTables;

// SAFETY: as above.
unsafe impl FrameAllocator<Size4KiB> for OwnTables {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        allocate()
    }
}
