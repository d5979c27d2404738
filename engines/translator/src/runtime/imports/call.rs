//! The import `call`: another module.

use core::mem::offset_of;

use bareflow_abi::{CallArguments, Services};
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, StackSlotData, StackSlotKind, Value};

use crate::emitter::Emitter;
use crate::runtime::ranges::{checked, range};
use crate::runtime::services::{TRUSTED, call_service, field};

/// Emits the import. Returns the status.
pub(super) fn call(emit: &mut Emitter<'_, '_>, context: Value) -> Value {
    let (name, name_length) = range(emit, 0, 1);
    let (input, input_length) = range(emit, 2, 3);
    let (output, output_capacity) = range(emit, 4, 5);
    let reply = emit.parameter(6);
    let reply = emit.extend(reply);
    let reply_length = emit.builder.ins().iconst(I64, 8);
    let (reply, _) = checked(emit, reply, reply_length);
    let size = size_of::<CallArguments<'_>>() as u32;
    let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, size, 3);
    let slot = emit.builder.create_sized_stack_slot(slot);
    let arguments = emit.builder.ins().stack_addr(I64, slot, 0);
    let zero = emit.builder.ins().iconst(I64, 0);
    let fields = [
        (offset_of!(CallArguments<'_>, name), name),
        (offset_of!(CallArguments<'_>, name_length), name_length),
        (offset_of!(CallArguments<'_>, input), input),
        (offset_of!(CallArguments<'_>, input_length), input_length),
        (offset_of!(CallArguments<'_>, output), output),
        (offset_of!(CallArguments<'_>, output_capacity), output_capacity),
        (offset_of!(CallArguments<'_>, output_length), zero),
        // The result, and the reserved bytes behind it.
        (offset_of!(CallArguments<'_>, result), zero),
    ];
    for (offset, value) in fields {
        emit.builder.ins().store(TRUSTED, value, arguments, field(offset));
    }
    let status = call_service(emit, context, offset_of!(Services, call), &[I64, I64], &[I32], &[context, arguments]);
    let length = offset_of!(CallArguments<'_>, output_length);
    let length = emit.builder.ins().load(I64, TRUSTED, arguments, field(length));
    let length = emit.builder.ins().umin(length, output_capacity);
    let length = emit.builder.ins().ireduce(I32, length);
    let result = emit.builder.ins().load(I32, TRUSTED, arguments, field(offset_of!(CallArguments<'_>, result)));
    let flags = emit.memory_flags();
    emit.builder.ins().store(flags, length, reply, 0);
    emit.builder.ins().store(flags, result, reply, 4);
    status.unwrap_or(zero)
}
