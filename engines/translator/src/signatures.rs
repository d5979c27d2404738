//! The signatures of functions.

use cranelift_codegen::ir::types::{F32, F64, I32, I64};
use cranelift_codegen::ir::{AbiParam, Signature, Type};
use cranelift_codegen::isa::CallConv;
use wasmparser::{FuncType, ValType};

use crate::routines::{Float, Routine};

/// The calling convention of the module's functions, and of routines that only code of Cranelift's calls.
const CONVENTION: CallConv = CallConv::Fast;

/// Returns the type of values of a type of WebAssembly. A reference is an element of a table.
pub(crate) fn type_of(value_type: ValType) -> Type {
    match value_type {
        ValType::I32 | ValType::Ref(_) => I32,
        ValType::I64 => I64,
        ValType::F32 => F32,
        ValType::F64 => F64,
        // The validator lets no vector through.
        ValType::V128 => cranelift_codegen::ir::types::I8X16,
    }
}

/// Returns the signature of functions of a type.
pub(crate) fn signature_of(function: &FuncType) -> Signature {
    let parameters = |types: &[ValType]| types.iter().map(|value| AbiParam::new(type_of(*value))).collect();
    Signature { params: parameters(function.params()), returns: parameters(function.results()), call_conv: CONVENTION }
}

/// Returns a signature.
pub(crate) fn signature(call_conv: CallConv, parameters: &[Type], results: &[Type]) -> Signature {
    let of = |types: &[Type]| types.iter().map(|value| AbiParam::new(*value)).collect();
    Signature { params: of(parameters), returns: of(results), call_conv }
}

/// Returns a routine's signature.
pub(crate) fn signature_of_routine(routine: Routine) -> Signature {
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
