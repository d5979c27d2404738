//! The memory of a module's heap: the loader's, which the context leads to.

use core::ptr::null_mut;

use talc::base::Talc;
use talc::base::binning::DefaultBinning;
use talc::source::Manual;

use crate::Context;
use crate::heap_note::{HEAP_NOTE_MARK, HEAP_NOTE_SIZE};

/// The source of further memory: none.
pub(crate) type Source = Manual;

pub(crate) const SOURCE: Source = Manual;

/// Gives the heap of the context to the allocator. Returns the address of its note, null if it has no room for one.
#[inline(always)]
pub(crate) fn claim(talc: &mut Talc<Source, DefaultBinning>, context: &Context<'_>) -> *mut [u64; 2] {
    let (start, size) = context.heap();
    let Some(room) = size.checked_sub(HEAP_NOTE_SIZE) else { return null_mut() };
    let note = start.cast::<[u64; 2]>();
    // SAFETY: the loader gave this memory to this module alone, for as long as it is loaded. A heap too small for
    // the allocator's own tables has no room for blocks.
    unsafe {
        note.write_unaligned([HEAP_NOTE_MARK, 0]);
        let _ = talc.claim(start.add(HEAP_NOTE_SIZE), room);
    }
    note
}

/// Notes the peak of allocated bytes.
///
/// # Safety
/// `note` is the address that [`claim`] returned, and not null: something is allocated.
#[inline(always)]
pub(crate) unsafe fn write_peak(note: *mut [u64; 2], bytes: u64) {
    // SAFETY: the note is at the start of the heap, and is written only here.
    unsafe { (&raw mut (*note)[1]).write_unaligned(bytes) };
}
