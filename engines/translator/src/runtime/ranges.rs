//! Ranges of linear memory, which are checked.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, TrapCode, Value};

use crate::emitter::Emitter;

/// Checks the range of memory in two parameters, address and length. Returns both, in 64 bits.
pub(super) fn range(emit: &mut Emitter<'_, '_>, start: usize, length: usize) -> (Value, Value) {
    let (start, length) = (emit.parameter(start), emit.parameter(length));
    let (start, length) = (emit.extend(start), emit.extend(length));
    checked(emit, start, length)
}

/// Checks a range of memory; both numbers have 64 bits. Returns its address and its length.
pub(super) fn checked(emit: &mut Emitter<'_, '_>, start: Value, length: Value) -> (Value, Value) {
    let limit = emit.memory_bytes();
    let is_start = emit.builder.ins().icmp(IntCC::UnsignedGreaterThan, start, limit);
    emit.trap_if(is_start, TrapCode::HEAP_OUT_OF_BOUNDS);
    let room = emit.builder.ins().isub(limit, start);
    let is_long = emit.builder.ins().icmp(IntCC::UnsignedGreaterThan, length, room);
    emit.trap_if(is_long, TrapCode::HEAP_OUT_OF_BOUNDS);
    let outside = emit.builder.ins().bor(is_start, is_long);
    let (start, length) = (emit.guarded(outside, start), emit.guarded(outside, length));
    let base = emit.memory();
    (emit.builder.ins().iadd(base, start), length)
}
