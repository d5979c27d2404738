//! The kernel's frames, as modules and their page tables take them.

use core::sync::atomic::{AtomicU64, Ordering};

use x86_64::structures::paging::{FrameAllocator, FrameDeallocator, PhysFrame, Size4KiB};

use crate::kernel::kernel;

/// The number of frames that are allocated for single modules: those of the shared arena are not counted.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Returns the number of frames that are allocated for single modules.
#[inline]
pub fn taken_frames() -> u64 {
    TAKEN.load(Ordering::Relaxed)
}

/// Leaves `count` allocated frames out of the count, as the shared arena's.
pub fn share(count: u64) {
    TAKEN.fetch_sub(count, Ordering::Relaxed);
}

/// Allocates a frame, with any contents; `None` if only reserved ones are left.
pub fn allocate() -> Option<PhysFrame> {
    let frame = kernel().allocate_frame()?;
    TAKEN.fetch_add(1, Ordering::Relaxed);
    Some(frame)
}

/// Frees a frame.
///
/// # Safety
/// [`allocate`] returned it, and nothing maps it any more.
pub unsafe fn release(frame: PhysFrame) {
    TAKEN.fetch_sub(1, Ordering::Relaxed);
    // SAFETY: the caller promises the same.
    unsafe { kernel().free_frame(frame) };
}

/// A number of free frames that stay free until their owner needs them.
#[derive(Debug)]
pub struct Reservation(AtomicU64);

impl Reservation {
    /// Reserves `count` frames; `None` if fewer are free and not reserved.
    pub fn new(count: u64) -> Option<Reservation> {
        // A reservation of fewer ends here.
        let reservation = Reservation(AtomicU64::new(kernel().reserve_frames(count)));
        (reservation.0.load(Ordering::Relaxed) == count).then_some(reservation)
    }

    /// Ends the reservation, so that the frames can be allocated. Returns their number.
    pub fn end(&self) -> u64 {
        let count = self.0.swap(0, Ordering::Relaxed);
        kernel().unreserve_frames(count);
        count
    }

    /// Reserves up to `count` frames again that came back unused.
    pub fn renew(&self, count: u64) {
        self.0.store(kernel().reserve_frames(count), Ordering::Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// The allocator of page tables that all modules share, in the form that the `x86_64` crate requires.
pub struct SharedTables;

// SAFETY: a frame is handed out only once until it is freed.
unsafe impl FrameAllocator<Size4KiB> for SharedTables {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        kernel().allocate_frame()
    }
}

impl FrameDeallocator<Size4KiB> for SharedTables {
    unsafe fn deallocate_frame(&mut self, frame: PhysFrame) {
        // SAFETY: the caller promises the same.
        unsafe { kernel().free_frame(frame) };
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
