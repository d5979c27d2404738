//! The import `invoke`: a method of an imported interface.
//!
//! The frame's words are copied to the stack. By the method's shape, which is in the blob's read-only data, addresses in
//! them are checked and made absolute; afterwards, the numbers of bytes that were appended go back to the module's words.

use core::mem::offset_of;

use bareflow_abi::interface::{ArgumentKind, MAX_WORDS};
use bareflow_abi::{CallError, Services};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, StackSlotData, StackSlotKind, Value};
use cranelift_codegen::isa::CallConv;

use crate::emitter::Emitter;
use crate::runtime::blocks::{begin, branch, go_on_if, go_on_inside};
use crate::runtime::ranges::checked;
use crate::runtime::services::{CONTEXT, TRUSTED, field, load_service};
use crate::signatures::signature;

/// The status of a call that gave no answer, since there is no such method.
const NO_SUCH_METHOD: i64 = 0x1_0000 | CallError::NoSuchMethod as i64;

/// The bits of an argument's kind in a shape.
const KIND_BITS: i64 = 3;

/// Emits the import. Returns the status.
pub(super) fn invoke(emit: &mut Emitter<'_, '_>, context: Value) -> Value {
    let (number, words, reply) = (emit.parameter(0), emit.parameter(1), emit.parameter(2));
    let reply = emit.extend(reply);
    let reply_length = emit.builder.ins().iconst(I64, 8);
    let (reply, _) = checked(emit, reply, reply_length);
    let shape = shape_of(emit, number);
    let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, 8 * MAX_WORDS as u32, 3);
    let slot = emit.builder.create_sized_stack_slot(slot);
    let frame = emit.builder.ins().stack_addr(I64, slot, 0);
    let words = emit.extend(words);
    // As many words as the method has: checked one by one.
    each_argument(emit, shape, |emit, kind, offset| {
        let value = read_word(emit, words, offset);
        store_word(emit, frame, offset, value);
        let is_scalar = emit.builder.ins().icmp_imm_u(IntCC::Equal, kind, ArgumentKind::Scalar as i64);
        let (scalar, piece) = branch(emit, is_scalar);
        let next = emit.builder.create_block();
        let after = emit.builder.append_block_param(next, I64);
        begin(emit, scalar);
        let behind = emit.builder.ins().iadd_imm_s(offset, 8);
        emit.builder.ins().jump(next, &[behind.into()]);
        begin(emit, piece);
        let second = emit.builder.ins().iadd_imm_s(offset, 8);
        let length = read_word(emit, words, second);
        let (address, length) = checked(emit, value, length);
        store_word(emit, frame, offset, address);
        store_word(emit, frame, second, length);
        let behind = emit.builder.ins().iadd_imm_s(offset, 16);
        emit.builder.ins().jump(next, &[behind.into()]);
        begin(emit, next);
        after
    });
    let embedder = emit.builder.ins().load(I64, TRUSTED, context, field(CONTEXT.embedder));
    let service = load_service(emit, context, offset_of!(Services, invoke));
    let types = signature(CallConv::SystemV, &[I64, I64, I64], &[I64, I64]);
    let types = emit.builder.import_signature(types);
    let call = emit.builder.ins().call_indirect(types, service, &[embedder, number, frame]);
    let (status, value) = (emit.builder.inst_results(call)[0], emit.builder.inst_results(call)[1]);
    let flags = emit.memory_flags();
    emit.builder.ins().store(flags, value, reply, 0);
    each_argument(emit, shape, |emit, kind, offset| {
        let is_scalar = emit.builder.ins().icmp_imm_u(IntCC::Equal, kind, ArgumentKind::Scalar as i64);
        let is_out = emit.builder.ins().icmp_imm_u(IntCC::Equal, kind, ArgumentKind::Out as i64);
        let (out, other) = branch(emit, is_out);
        begin(emit, out);
        let second = emit.builder.ins().iadd_imm_s(offset, 8);
        let source = emit.builder.ins().iadd(frame, second);
        let appended = emit.builder.ins().load(I64, TRUSTED, source, 0);
        let place = word_place(emit, words, second);
        let flags = emit.memory_flags();
        emit.builder.ins().store(flags, appended, place, 0);
        emit.builder.ins().jump(other, &[]);
        begin(emit, other);
        let (one, two) = (emit.builder.ins().iconst(I64, 8), emit.builder.ins().iconst(I64, 16));
        let size = emit.builder.ins().select(is_scalar, one, two);
        emit.builder.ins().iadd(offset, size)
    });
    emit.builder.ins().ireduce(I32, status)
}

/// Looks a method's shape up by the numbers of import and method; if there is none, the import returns.
fn shape_of(emit: &mut Emitter<'_, '_>, number: Value) -> Value {
    let methods = &emit.environment.plan.rodata.methods;
    let (list, imports) = (methods.offset, methods.imports);
    let import = emit.builder.ins().ushr_imm_u(number, 32);
    let method = emit.builder.ins().ireduce(I32, number);
    let method = emit.extend(method);
    let outside = emit.builder.ins().icmp_imm_u(IntCC::UnsignedGreaterThanOrEqual, import, i64::from(imports));
    let missing = emit.builder.create_block();
    let import = go_on_inside(emit, outside, import, missing);
    let rodata = emit.rodata();
    let constant = MemFlagsData::trusted().with_readonly();
    let distance = emit.builder.ins().ishl_imm_u(import, 3);
    let entry = emit.builder.ins().iadd(rodata, distance);
    let first = emit.builder.ins().uload32(constant, entry, list.cast_signed());
    let count = emit.builder.ins().uload32(constant, entry, list.cast_signed() + 4);
    let outside = emit.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, method, count);
    let method = go_on_inside(emit, outside, method, missing);
    let distance = emit.builder.ins().ishl_imm_u(method, 2);
    let place = emit.builder.ins().iadd(rodata, first);
    let place = emit.builder.ins().iadd(place, distance);
    let shape = emit.builder.ins().uload32(constant, place, 0);
    let found = emit.builder.create_block();
    emit.builder.ins().jump(found, &[]);
    begin(emit, missing);
    let status = emit.builder.ins().iconst(I32, NO_SUCH_METHOD);
    emit.builder.ins().return_(&[status]);
    begin(emit, found);
    shape
}

/// Emits a loop over the arguments of a shape. `body` gets the kind and the offset of the argument's words, and returns that
/// of the next argument's.
fn each_argument(
    emit: &mut Emitter<'_, '_>,
    shape: Value,
    body: impl FnOnce(&mut Emitter<'_, '_>, Value, Value) -> Value,
) {
    let (head, end) = (emit.builder.create_block(), emit.builder.create_block());
    let (rest, offset) = (emit.builder.append_block_param(head, I64), emit.builder.append_block_param(head, I64));
    let zero = emit.builder.ins().iconst(I64, 0);
    emit.builder.ins().jump(head, &[shape.into(), zero.into()]);
    emit.builder.switch_to_block(head);
    let kind = emit.builder.ins().band_imm_u(rest, (1 << KIND_BITS) - 1);
    go_on_if(emit, kind, end);
    let next = body(emit, kind, offset);
    let rest = emit.builder.ins().ushr_imm_u(rest, KIND_BITS);
    emit.builder.ins().jump(head, &[rest.into(), next.into()]);
    emit.builder.seal_block(head);
    begin(emit, end);
}

/// Returns the address of a word of the module's frame, checked.
fn word_place(emit: &mut Emitter<'_, '_>, words: Value, offset: Value) -> Value {
    let start = emit.builder.ins().iadd(words, offset);
    let length = emit.builder.ins().iconst(I64, 8);
    checked(emit, start, length).0
}

fn read_word(emit: &mut Emitter<'_, '_>, words: Value, offset: Value) -> Value {
    let place = word_place(emit, words, offset);
    let flags = emit.memory_flags();
    emit.builder.ins().load(I64, flags, place, 0)
}

fn store_word(emit: &mut Emitter<'_, '_>, frame: Value, offset: Value, value: Value) {
    let place = emit.builder.ins().iadd(frame, offset);
    emit.builder.ins().store(TRUSTED, value, place, 0);
}
