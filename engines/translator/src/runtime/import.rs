//! The imports, over context and services.
//!
//! What a module passes is checked here, so that services see only addresses within its memory.

use core::mem::offset_of;

use bareflow_abi::context::ContextOffsets;
use bareflow_abi::{CallArguments, Context, Services};
use bareflow_portable::imports::Import;
use bareflow_portable::state::CALL_CONTEXT;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, StackSlotData, StackSlotKind, TrapCode, Type, Value};
use cranelift_codegen::isa::CallConv;

use super::argument::Direction;
use super::{argument, method};
use crate::emitter::{Emitter, UNREACHABLE, signature};
use crate::names::Routine;

const CONTEXT: ContextOffsets = Context::OFFSETS;

/// The flags of accesses to the embedder's structures.
pub(super) const TRUSTED: MemFlagsData = MemFlagsData::trusted();

/// Emits the function that an import is.
pub(crate) fn emit_import(emit: &mut Emitter<'_, '_>, import: Import) {
    let context = emit.context_word(CALL_CONTEXT);
    let results = match import {
        Import::InputLength => {
            let length = emit.builder.ins().load(I64, TRUSTED, context, field(CONTEXT.input_length));
            Some(emit.builder.ins().ireduce(I32, length))
        }
        Import::InputRead => Some(input_read(emit, context)),
        Import::OutputWrite => Some(output_write(emit, context)),
        Import::Log => {
            let (text, length) = range(emit, 0, 1);
            call_service(emit, context, offset_of!(Services, log), &[I64, I64, I64], &[], &[context, text, length]);
            None
        }
        Import::Clock => call_service(emit, context, offset_of!(Services, clock), &[I64], &[I64], &[context]),
        Import::Panic => {
            let ((message, message_length), (file, file_length)) = (range(emit, 0, 1), range(emit, 2, 3));
            let line = emit.parameter(4);
            let line = emit.extend(line);
            emit.call_routine(Routine::Panic, &[message, message_length, file, file_length, line]);
            emit.builder.ins().trap(UNREACHABLE);
            return;
        }
        Import::OutOfHeap => {
            emit.call_routine(Routine::OutOfHeap, &[]);
            emit.builder.ins().trap(UNREACHABLE);
            return;
        }
        Import::Call => Some(call(emit, context)),
        Import::Invoke => Some(method::invoke(emit, context)),
        Import::ArgumentRead => Some(argument::copy(emit, context, Direction::Read)),
        Import::ArgumentWrite => Some(argument::copy(emit, context, Direction::Write)),
    };
    emit.builder.ins().return_(results.as_slice());
}

/// Returns an offset of a structure's field, which is small.
pub(super) const fn field(offset: usize) -> i32 {
    offset as i32
}

/// Loads the address of a service.
pub(super) fn load_service(emit: &mut Emitter<'_, '_>, context: Value, offset: usize) -> Value {
    let services = emit.builder.ins().load(I64, TRUSTED, context, field(CONTEXT.services));
    emit.builder.ins().load(I64, TRUSTED, services, field(offset))
}

/// Calls a service. Returns its first result, if it has one.
pub(super) fn call_service(
    emit: &mut Emitter<'_, '_>,
    context: Value,
    offset: usize,
    parameters: &[Type],
    results: &[Type],
    arguments: &[Value],
) -> Option<Value> {
    let service = load_service(emit, context, offset);
    let signature = emit.builder.import_signature(signature(CallConv::SystemV, parameters, results));
    let call = emit.builder.ins().call_indirect(signature, service, arguments);
    emit.builder.inst_results(call).first().copied()
}

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

fn input_read(emit: &mut Emitter<'_, '_>, context: Value) -> Value {
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

fn output_write(emit: &mut Emitter<'_, '_>, context: Value) -> Value {
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

fn call(emit: &mut Emitter<'_, '_>, context: Value) -> Value {
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
