//! Page tables, frames and a heap.

use core::sync::atomic::{AtomicU64, Ordering};

use bareflow_pvh::PHYSICAL_MAP;
use linked_list_allocator::LockedHeap;
use x86_64::registers::control::Cr3;
use x86_64::structures::paging::{FrameAllocator, FrameDeallocator, OffsetPageTable, PageTable, PhysFrame, Size4KiB};
use x86_64::{PhysAddr, VirtAddr};

/// The addresses for modules that are not contained: 1.5 GiB that nothing else uses.
pub const MODULES: u64 = 64 << 30;

/// The physical address and the size of the heap.
const HEAP: u64 = 16 << 20;
const HEAP_BYTES: usize = 1 << 20;

/// The range of frames to allocate.
const FIRST_FRAME: u64 = 32 << 20;
const LAST_FRAME: u64 = 64 << 20;

#[global_allocator]
static ALLOCATOR: LockedHeap = LockedHeap::empty();

/// Gives the heap its memory; once, at the start.
pub fn init() {
    // SAFETY: the PVH entry mapped the memory, and nothing else uses it.
    unsafe { ALLOCATOR.lock().init((PHYSICAL_MAP + HEAP) as *mut u8, HEAP_BYTES) };
}

/// Returns the active page tables.
///
/// # Safety
/// No one else changes them meanwhile.
pub unsafe fn mapper() -> OffsetPageTable<'static> {
    let root = (PHYSICAL_MAP + Cr3::read().0.start_address().as_u64()) as *mut PageTable;
    // SAFETY: the PVH entry mapped the tables; the caller promises the rest.
    unsafe { OffsetPageTable::new(&mut *root, VirtAddr::new(PHYSICAL_MAP)) }
}

/// The next frame that has never been allocated.
static NEXT: AtomicU64 = AtomicU64::new(FIRST_FRAME);

/// The frame that was freed last, whose first bytes contain the address of the one freed before it; 0 if there is none.
static FREE: AtomicU64 = AtomicU64::new(0);

/// The kernel's frame allocator.
pub struct Frames;

// SAFETY: each frame is allocated once, and again only after it has been freed.
unsafe impl FrameAllocator<Size4KiB> for Frames {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let free = FREE.load(Ordering::Relaxed);
        let address = if free == 0 {
            NEXT.fetch_add(0x1000, Ordering::Relaxed)
        } else {
            // SAFETY: `deallocate_frame` wrote the address there, and the frame has not been used since.
            FREE.store(unsafe { ((PHYSICAL_MAP + free) as *const u64).read() }, Ordering::Relaxed);
            free
        };
        (address < LAST_FRAME).then(|| PhysFrame::containing_address(PhysAddr::new(address)))
    }
}

impl FrameDeallocator<Size4KiB> for Frames {
    unsafe fn deallocate_frame(&mut self, frame: PhysFrame) {
        let address = frame.start_address().as_u64();
        // SAFETY: the frame is not used any more, and the PVH entry mapped it.
        unsafe { ((PHYSICAL_MAP + address) as *mut u64).write(FREE.load(Ordering::Relaxed)) };
        FREE.store(address, Ordering::Relaxed);
    }
}
