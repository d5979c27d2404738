//! An allocator that fails on a test's request. Each test of memory that runs out includes this file as a module.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, with failures on request.
pub struct Failing;

thread_local! {
    /// The number of this thread's allocations that succeed before one fails; `None` if all succeed.
    pub static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
    /// The number of bytes that this thread has allocated and not freed.
    pub static BYTES: Cell<i64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Failing = Failing;

impl Failing {
    /// Counts an allocation. Returns false if it is the one to fail.
    fn may(&self) -> bool {
        match LEFT.get() {
            Some(0) => {
                LEFT.set(None);
                false
            }
            Some(left) => {
                LEFT.set(Some(left - 1));
                true
            }
            None => true,
        }
    }
}

// SAFETY: all memory is the system allocator's, which gets back what it returned, with the same layout. A null pointer
// is returned without calling it, which reports that there is no memory.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !self.may() {
            return std::ptr::null_mut();
        }
        BYTES.set(BYTES.get() + layout.size() as i64);
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get() - layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}
