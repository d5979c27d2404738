//! An allocator that fails when a test says so: tests of memory that runs out take this file in, each as a module.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, some of whose allocations fail.
pub struct Failing;

thread_local! {
    /// How many more allocations of this thread succeed before one fails; nothing where all do.
    pub static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
    /// Bytes that this thread has allocated and not given back, while it counts.
    pub static BYTES: Cell<i64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Failing = Failing;

impl Failing {
    /// Counts an allocation; false where it is the one that fails.
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

// SAFETY: all memory is the system allocator's, which gets what it gave out with the layout that was asked for;
// where nothing is asked of it, null is returned, which says that there is no memory.
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
