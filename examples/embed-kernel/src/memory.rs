//! Page tables, frames and a heap: what every kernel has already.

use core::sync::atomic::{AtomicU64, Ordering};

use linked_list_allocator::LockedHeap;
use x86_64::registers::control::Cr3;
use x86_64::structures::paging::{FrameAllocator, FrameDeallocator, OffsetPageTable, PageTable, PhysFrame, Size4KiB};
use x86_64::{PhysAddr, VirtAddr};

/// Where modules lie: 1.5 GiB of addresses that nothing else uses.
pub const MODULES: u64 = 64 << 30;

/// The heap.
const HEAP: u64 = 16 << 20;
const HEAP_BYTES: usize = 1 << 20;

/// The frames that are given out.
const FIRST_FRAME: u64 = 32 << 20;
const LAST_FRAME: u64 = 64 << 20;

#[global_allocator]
static ALLOCATOR: LockedHeap = LockedHeap::empty();

/// Gives the heap its memory: once, at the start.
pub fn init() {
    // SAFETY: `start.rs` mapped it, and nothing else lies there.
    unsafe { ALLOCATOR.lock().init(HEAP as *mut u8, HEAP_BYTES) };
}

/// The active page tables; `start.rs` mapped all physical memory where it is.
pub fn mapper() -> OffsetPageTable<'static> {
    let root = Cr3::read().0.start_address().as_u64() as *mut PageTable;
    // SAFETY: called once, so nobody else changes the tables.
    unsafe { OffsetPageTable::new(&mut *root, VirtAddr::zero()) }
}

/// The frame to be given out next.
static NEXT: AtomicU64 = AtomicU64::new(FIRST_FRAME);

/// The last frame that came back, which has the address of the one before it in its first bytes; 0 for none.
static FREE: AtomicU64 = AtomicU64::new(0);

/// The kernel's frames.
pub struct Frames;

// SAFETY: each frame is given out once, and again when it has come back.
unsafe impl FrameAllocator<Size4KiB> for Frames {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let free = FREE.load(Ordering::Relaxed);
        let address = if free == 0 {
            NEXT.fetch_add(0x1000, Ordering::Relaxed)
        } else {
            // SAFETY: `deallocate_frame` wrote it there, and nobody has had the frame since.
            FREE.store(unsafe { (free as *const u64).read() }, Ordering::Relaxed);
            free
        };
        (address < LAST_FRAME).then(|| PhysFrame::containing_address(PhysAddr::new(address)))
    }
}

impl FrameDeallocator<Size4KiB> for Frames {
    unsafe fn deallocate_frame(&mut self, frame: PhysFrame) {
        let address = frame.start_address().as_u64();
        // SAFETY: nobody uses the frame any more, and it is mapped where it is.
        unsafe { (address as *mut u64).write(FREE.load(Ordering::Relaxed)) };
        FREE.store(address, Ordering::Relaxed);
    }
}
