//! The imports `input_read` and `output_write`.

use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, Value};

use crate::emitter::Emitter;
use crate::routines::Routine;
use crate::runtime::ranges::range;
use crate::runtime::services::{CONTEXT, TRUSTED, field};

/// Emits the import: offset in the input, address, length. Returns the number of bytes copied.
pub(super) fn input_read(emit: &mut Emitter<'_, '_>, context: Value) -> Value {
    let offset = emit.parameter(0);
    let offset = emit.extend(offset);
    let (to, length) = range(emit, 1, 2);
    let whole = emit.builder.ins().load(I64, TRUSTED, context, field(CONTEXT.input_length));
    let offset = emit.builder.ins().umin(offset, whole);
    let rest = emit.builder.ins().isub(whole, offset);
    let count = emit.builder.ins().umin(rest, length);
    let input = emit.builder.ins().load(I64, TRUSTED, context, field(CONTEXT.input));
    let from = emit.builder.ins().iadd(input, offset);
    emit.call_routine(Routine::Copy, &[to, from, count]);
    emit.builder.ins().ireduce(I32, count)
}

/// Emits the import: address, length. Returns the number of bytes that fitted.
pub(super) fn output_write(emit: &mut Emitter<'_, '_>, context: Value) -> Value {
    let (from, length) = range(emit, 0, 1);
    let capacity = emit.builder.ins().load(I64, TRUSTED, context, field(CONTEXT.output_capacity));
    let written = emit.builder.ins().load(I64, TRUSTED, context, field(CONTEXT.output_length));
    let written = emit.builder.ins().umin(written, capacity);
    let room = emit.builder.ins().isub(capacity, written);
    let count = emit.builder.ins().umin(room, length);
    let output = emit.builder.ins().load(I64, TRUSTED, context, field(CONTEXT.output));
    let to = emit.builder.ins().iadd(output, written);
    emit.call_routine(Routine::Copy, &[to, from, count]);
    let written = emit.builder.ins().iadd(written, count);
    emit.builder.ins().store(TRUSTED, written, context, field(CONTEXT.output_length));
    emit.builder.ins().ireduce(I32, count)
}
