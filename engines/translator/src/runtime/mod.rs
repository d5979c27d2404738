//! The code that no function of the module is.
//!
//! ```text
//! entry.rs         the blob's entry: what each reason calls
//! instantiate.rs   makes the instance: data segments, start function
//! bytes.rs         copies and fills
//! memory.rs        grows the memory
//! round.rs         rounds without an instruction for it
//! raw.rs           instructions that Cranelift does not have
//! import.rs        the imports, over context and services
//! argument.rs      the imports `argument_read` and `argument_write`
//! method.rs        the import `invoke`
//! ```

mod argument;
mod bytes;
mod entry;
mod import;
mod instantiate;
mod memory;
mod method;
mod raw;
mod round;

use cranelift_codegen::ir::Signature;
use cranelift_codegen::ir::types::{F32, F64, I32, I64};
use cranelift_codegen::isa::CallConv;

use crate::emitter::{CONVENTION, Emitter, signature};
use crate::names::{Float, Routine};

pub(crate) use import::emit_import;
pub(crate) use instantiate::ACTIVE_BYTES;
pub(crate) use raw::code as raw_code;

/// Returns a routine's signature.
pub(crate) fn signature_of(routine: Routine) -> Signature {
    match routine {
        Routine::Entry => signature(CallConv::SystemV, &[I64, I32], &[I32]),
        Routine::Instantiate => signature(CONVENTION, &[], &[]),
        Routine::Copy => signature(CONVENTION, &[I64, I64, I64], &[]),
        Routine::Fill | Routine::FillElements => signature(CONVENTION, &[I64, I32, I64], &[]),
        Routine::CopyLong => signature(CallConv::SystemV, &[I64, I64, I64], &[]),
        Routine::FillLong => signature(CallConv::SystemV, &[I64, I32, I64], &[]),
        Routine::GrowMemory => signature(CONVENTION, &[I32], &[I32]),
        Routine::Panic => signature(CallConv::SystemV, &[I64, I64, I64, I64, I64], &[]),
        Routine::OutOfHeap => signature(CallConv::SystemV, &[], &[]),
        // Cranelift calls these as functions of a library.
        Routine::Round(_, Float::F32) => signature(CallConv::SystemV, &[F32], &[F32]),
        Routine::Round(_, Float::F64) => signature(CallConv::SystemV, &[F64], &[F64]),
    }
}

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
