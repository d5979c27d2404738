//! The code that no function of the module is.
//!
//! ```text
//! entry.rs         the blob's entry: what each reason calls
//! instantiate.rs   makes the instance: data segments, start function
//! bytes.rs         copies and fills
//! memory.rs        grows the memory
//! round.rs         rounds without an instruction for it
//! raw.rs           instructions that Cranelift does not have
//! imports/         the imports, over context and services
//! services.rs      the embedder's structures: context and services
//! ranges.rs        ranges of linear memory, checked
//! blocks.rs        branches and loops
//! ```

mod blocks;
mod bytes;
mod entry;
mod imports;
mod instantiate;
mod memory;
mod ranges;
mod raw;
mod round;
mod services;

use crate::emitter::Emitter;
use crate::routines::Routine;

pub(crate) use imports::emit_import;
pub(crate) use raw::code as raw_code;

/// Emits a routine that is not [raw](raw_code).
pub(crate) fn emit_routine(emit: &mut Emitter<'_, '_>, routine: Routine) {
    match routine {
        Routine::Entry => entry::emit(emit),
        Routine::Instantiate => instantiate::emit(emit),
        Routine::Copy => bytes::emit_copy(emit),
        Routine::Fill => bytes::emit_fill(emit),
        Routine::FillElements => bytes::emit_fill_elements(emit),
        Routine::GrowMemory => memory::emit_grow(emit),
        Routine::Round(rounding, float) => round::emit(emit, rounding, float),
        Routine::CopyLong | Routine::FillLong | Routine::Panic | Routine::OutOfHeap => {}
    }
}
