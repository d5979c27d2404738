//! Linear memory for copies of what the caller lends, until the next call.
//!
//! It begins with the rest of the last page of the module's data, and grows by whole pages.

use core::arch::wasm32::{memory_grow, memory_size};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::interface::PIECE_ALIGNMENT;
use crate::portable::PAGE_SIZE;

const PAGE: usize = PAGE_SIZE as usize;

/// The first byte, the one behind the last, and the next that is free; all 0 before the first call.
static START: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Frees all memory: a new call begins.
pub(super) fn reset() {
    NEXT.store(START.load(Relaxed), Relaxed);
}

/// Takes so many bytes, aligned as pieces are. `None` if the memory can't grow by that.
pub(super) fn take(bytes: usize) -> Option<NonNull<u8>> {
    if END.load(Relaxed) == 0 {
        use_last_page();
    }
    let start = NEXT.load(Relaxed).checked_next_multiple_of(PIECE_ALIGNMENT)?;
    let end = start.checked_add(bytes)?;
    let start = if end <= END.load(Relaxed) { start } else { grow(start, bytes)? };
    NEXT.store(start + bytes, Relaxed);
    NonNull::new(core::ptr::with_exposed_provenance_mut(start))
}

/// Begins with what the linker left of the last page.
fn use_last_page() {
    unsafe extern "C" {
        static __heap_base: u8;
    }
    let base = (&raw const __heap_base).expose_provenance();
    START.store(base, Relaxed);
    NEXT.store(base, Relaxed);
    END.store(base.next_multiple_of(PAGE), Relaxed);
}

/// Makes room for so many bytes at `start`, or else elsewhere. Returns where.
#[cold]
fn grow(start: usize, bytes: usize) -> Option<usize> {
    let end = END.load(Relaxed);
    if memory_size::<0>() == end / PAGE {
        let more = (start.checked_add(bytes)? - end).div_ceil(PAGE);
        grow_by(more)?;
        END.store(end + more * PAGE, Relaxed);
        return Some(start);
    }
    // The heap lies behind. What was taken in this call stays as it is, and is not used again. Twice as much as before
    // bounds what is lost in this manner.
    let wanted = bytes.div_ceil(PAGE);
    let ample = wanted.max(2 * (end - START.load(Relaxed)).div_ceil(PAGE));
    let (pages, page) = [ample, wanted].into_iter().find_map(|pages| Some((pages, grow_by(pages)?)))?;
    START.store(page * PAGE, Relaxed);
    END.store((page + pages) * PAGE, Relaxed);
    Some(page * PAGE)
}

/// Grows the memory. Returns the first new page.
fn grow_by(pages: usize) -> Option<usize> {
    Some(memory_grow::<0>(pages)).filter(|page| *page != usize::MAX)
}
