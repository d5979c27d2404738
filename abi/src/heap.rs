//! The global allocator of modules that enable the feature `alloc`. Its memory is that of the machine's `heap_memory`.

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use spinning_top::RawSpinlock;
use talc::TalcLock;

use crate::machine::heap_memory::{SOURCE, Source, claim, write_peak};
use crate::machine::trap::out_of_heap;
use crate::machine::uses::mark;
use crate::{Context, Reason};

struct Heap {
    talc: TalcLock<RawSpinlock, Source>,
    open: AtomicBool,
    /// The size of the last request if it could not be met, or else 0.
    refused: AtomicU64,
    /// The number of blocks that are not freed, and their bytes.
    blocks: AtomicU64,
    bytes: AtomicU64,
    /// The peak of these bytes, and the address where it is noted.
    peak: AtomicU64,
    note: AtomicPtr<[u64; 2]>,
}

// SAFETY: the lock guards the allocator with its source, whose pointers are to memory of no thread in particular; all else
// is atomic.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap {
    talc: TalcLock::new(SOURCE),
    open: AtomicBool::new(false),
    refused: AtomicU64::new(0),
    blocks: AtomicU64::new(0),
    bytes: AtomicU64::new(0),
    peak: AtomicU64::new(0),
    note: AtomicPtr::new(null_mut()),
};

/// Opens the heap at the module's first call. Handles the call if it asks for the module's account.
#[inline(always)]
pub(crate) fn init_once(context: &mut Context<'_>, reason: u32) -> Option<i32> {
    if reason == Reason::Account as u32 {
        return Some(account(context));
    }
    if !HEAP.open.load(Ordering::Relaxed) {
        init_first(context);
    }
    None
}

/// Writes the number of blocks that are not freed, and their bytes.
#[cold]
#[inline(never)]
fn account(context: &mut Context<'_>) -> i32 {
    for count in [&HEAP.blocks, &HEAP.bytes] {
        context.write(&count.load(Ordering::Relaxed).to_le_bytes());
    }
    0
}

#[cold]
#[inline(never)]
fn init_first(context: &Context<'_>) {
    let mut talc = HEAP.talc.lock();
    if !HEAP.open.swap(true, Ordering::Relaxed) {
        let note = claim(&mut talc, context);
        HEAP.note.store(note, Ordering::Relaxed);
    }
}

/// Adds to a count while the allocator's lock is held, so that no other thread changes it.
///
/// An atomic addition would lock the memory bus, which takes about as long as the rest of a request.
fn add(count: &AtomicU64, much: u64) {
    count.store(count.load(Ordering::Relaxed).wrapping_add(much), Ordering::Relaxed);
}

// SAFETY: every call is passed on to the allocator, which the lock guards.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        mark!("h");
        let mut talc = self.talc.lock();
        // SAFETY: as the caller promises.
        let block = self.note(unsafe { talc.allocate(layout) }.map_or(null_mut(), NonNull::as_ptr), layout.size());
        if !block.is_null() {
            add(&self.blocks, 1);
            self.grow(layout.size() as u64);
        }
        block
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let mut talc = self.talc.lock();
        add(&self.blocks, 1_u64.wrapping_neg());
        add(&self.bytes, (layout.size() as u64).wrapping_neg());
        // SAFETY: as the caller promises.
        unsafe { talc.deallocate(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        let block = self.note(unsafe { self.talc.realloc(pointer, layout, size) }, size);
        if !block.is_null() {
            let _held = self.talc.lock();
            self.grow((size as u64).wrapping_sub(layout.size() as u64));
        }
        block
    }
}

impl Heap {
    /// Adds to the number of bytes that are not freed, while the allocator's lock is held.
    #[inline(always)]
    fn grow(&self, much: u64) {
        let bytes = self.bytes.load(Ordering::Relaxed).wrapping_add(much);
        self.bytes.store(bytes, Ordering::Relaxed);
        if bytes > self.peak.load(Ordering::Relaxed) {
            self.peak.store(bytes, Ordering::Relaxed);
            // SAFETY: some bytes are allocated, so the heap is open and its note is there.
            unsafe { write_peak(self.note.load(Ordering::Relaxed), bytes) };
        }
    }

    fn note(&self, pointer: *mut u8, asked: usize) -> *mut u8 {
        let refused = if pointer.is_null() { asked.max(1) as u64 } else { 0 };
        self.refused.store(refused, Ordering::Relaxed);
        pointer
    }
}

/// The file in which `alloc` panics if a request that must succeed can't be met.
const ALLOC_ERROR_FILE: &str = "alloc/src/alloc.rs";

/// Ends the module if its panic is that of a failed allocation.
#[inline(always)]
pub(crate) fn stop_if_exhausted(info: &PanicInfo<'_>) {
    let by_alloc = info.location().is_some_and(|location| location.file().ends_with(ALLOC_ERROR_FILE));
    let asked = HEAP.refused.load(Ordering::Relaxed);
    if by_alloc && asked > 0 {
        out_of_heap(asked, info);
    }
}
