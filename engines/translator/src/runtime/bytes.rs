//! Copies and fills.
//!
//! All loads of a short copy come before its stores, so its ends may overlap. A longer one moves 16 bytes at a time, in the
//! direction in which nothing is overwritten that is still to be read; its last (or first) 16 bytes are read at the start.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I8X16, I16, I32, I64};
use cranelift_codegen::ir::{Block, InstBuilder, Value};

use super::blocks::{begin, branch, loop_from, repeat};
use crate::emitter::Emitter;
use crate::routines::Routine;

/// The bytes of a step of a long copy.
const STEP: i64 = 16;

/// The bytes from which on the processor's instruction for copies and fills is faster than a loop.
const LONG: i64 = 1024;

/// Emits a function of two addresses, to and from, and a length.
pub(super) fn emit_copy(emit: &mut Emitter<'_, '_>) {
    let [to, from, length] = [0, 1, 2].map(|number| emit.parameter(number));
    let flags = emit.memory_flags();
    let long = short_pieces(emit, length, |emit, bytes| {
        let (to_last, from_last) = (last(emit, to, length, bytes), last(emit, from, length, bytes));
        let piece = piece_of(bytes);
        let first = emit.builder.ins().load(piece, flags, from, 0);
        let second = emit.builder.ins().load(piece, flags, from_last, 0);
        emit.builder.ins().store(flags, first, to, 0);
        emit.builder.ins().store(flags, second, to_last, 0);
    });
    begin(emit, long);
    let (to_last, from_last) = (last(emit, to, length, STEP), last(emit, from, length, STEP));
    let head = emit.builder.ins().load(I8X16, flags, from, 0);
    let tail = emit.builder.ins().load(I8X16, flags, from_last, 0);
    let distance = emit.builder.ins().isub(to, from);
    let rises = emit.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, distance, length);
    let (up, down) = branch(emit, rises);
    begin(emit, up);
    long_by_instruction(emit, Routine::CopyLong, [to, from, length]);
    each_step(emit, length, |emit, position| {
        let from = emit.builder.ins().iadd(from, position);
        let piece = emit.builder.ins().load(I8X16, flags, from, 0);
        let to = emit.builder.ins().iadd(to, position);
        emit.builder.ins().store(flags, piece, to, 0);
    });
    emit.builder.ins().store(flags, tail, to_last, 0);
    emit.builder.ins().return_(&[]);
    begin(emit, down);
    each_step(emit, length, |emit, position| {
        let from = emit.builder.ins().isub(from_last, position);
        let piece = emit.builder.ins().load(I8X16, flags, from, 0);
        let to = emit.builder.ins().isub(to_last, position);
        emit.builder.ins().store(flags, piece, to, 0);
    });
    emit.builder.ins().store(flags, head, to, 0);
    emit.builder.ins().return_(&[]);
}

/// Emits a function of an address, a byte and a length.
pub(super) fn emit_fill(emit: &mut Emitter<'_, '_>) {
    let [to, byte, length] = [0, 1, 2].map(|number| emit.parameter(number));
    let flags = emit.memory_flags();
    let byte = emit.builder.ins().band_imm_u(byte, 0xff);
    let byte = emit.extend(byte);
    let bytes = emit.builder.ins().imul_imm_u(byte, 0x0101_0101_0101_0101);
    let long = short_pieces(emit, length, |emit, count| {
        let to_last = last(emit, to, length, count);
        let piece = piece_of(count);
        let filling = if piece == I64 { bytes } else { emit.builder.ins().ireduce(piece, bytes) };
        emit.builder.ins().store(flags, filling, to, 0);
        emit.builder.ins().store(flags, filling, to_last, 0);
    });
    begin(emit, long);
    long_by_instruction(emit, Routine::FillLong, [to, emit.parameter(1), length]);
    let fill = |emit: &mut Emitter<'_, '_>, to| {
        emit.builder.ins().store(flags, bytes, to, 0);
        emit.builder.ins().store(flags, bytes, to, 8);
    };
    each_step(emit, length, |emit, position| {
        let to = emit.builder.ins().iadd(to, position);
        fill(emit, to);
    });
    let to_last = last(emit, to, length, STEP);
    fill(emit, to_last);
    emit.builder.ins().return_(&[]);
}

/// Emits a function of an address, an element and a number of elements.
pub(super) fn emit_fill_elements(emit: &mut Emitter<'_, '_>) {
    let [to, element, count] = [0, 1, 2].map(|number| emit.parameter(number));
    let flags = emit.state_flags();
    let bytes = emit.builder.ins().ishl_imm_u(count, 2);
    let zero = emit.builder.ins().iconst(I64, 0);
    let (head, position) = loop_from(emit, zero);
    let is_inside = emit.builder.ins().icmp(IntCC::UnsignedLessThan, position, bytes);
    let (body, end) = branch(emit, is_inside);
    begin(emit, body);
    let to = emit.builder.ins().iadd(to, position);
    emit.builder.ins().store(flags, element, to, 0);
    repeat(emit, head, position, 4);
    begin(emit, end);
    emit.builder.ins().return_(&[]);
}

/// Emits what a length below a step needs: for at least 8, 4, 2 and 1 bytes, `emit_pieces` emits two pieces of so many
/// bytes, one at the start and one at the end. Returns the block for longer ones.
fn short_pieces(emit: &mut Emitter<'_, '_>, length: Value, emit_pieces: impl Fn(&mut Emitter<'_, '_>, i64)) -> Block {
    let is_long = emit.builder.ins().icmp_imm_u(IntCC::UnsignedGreaterThanOrEqual, length, STEP);
    let (long, short) = branch(emit, is_long);
    begin(emit, short);
    for bytes in [8, 4, 2, 1] {
        let is_enough = emit.builder.ins().icmp_imm_u(IntCC::UnsignedGreaterThanOrEqual, length, bytes);
        let (found, next) = branch(emit, is_enough);
        begin(emit, found);
        emit_pieces(emit, bytes);
        emit.builder.ins().return_(&[]);
        begin(emit, next);
    }
    emit.builder.ins().return_(&[]);
    long
}

/// Emits a call of a routine for lengths from [`LONG`] on, and a return.
fn long_by_instruction(emit: &mut Emitter<'_, '_>, routine: Routine, arguments: [Value; 3]) {
    let is_long = emit.builder.ins().icmp_imm_u(IntCC::UnsignedGreaterThanOrEqual, arguments[2], LONG);
    let (long, short) = branch(emit, is_long);
    begin(emit, long);
    emit.call_routine(routine, &arguments);
    emit.builder.ins().return_(&[]);
    begin(emit, short);
}

/// Returns the type of so many bytes.
fn piece_of(bytes: i64) -> cranelift_codegen::ir::Type {
    match bytes {
        8 => I64,
        4 => I32,
        2 => I16,
        _ => I8,
    }
}

/// Returns the address of the last `bytes` bytes of a range.
fn last(emit: &mut Emitter<'_, '_>, start: Value, length: Value, bytes: i64) -> Value {
    let end = emit.builder.ins().iadd(start, length);
    emit.builder.ins().iadd_imm_s(end, -bytes)
}

/// Emits a loop over the positions 0, 16, .. that lie at least 16 bytes before the end.
fn each_step(emit: &mut Emitter<'_, '_>, length: Value, body: impl FnOnce(&mut Emitter<'_, '_>, Value)) {
    let limit = emit.builder.ins().iadd_imm_s(length, -STEP);
    let zero = emit.builder.ins().iconst(I64, 0);
    let (head, position) = loop_from(emit, zero);
    let is_inside = emit.builder.ins().icmp(IntCC::UnsignedLessThan, position, limit);
    let (inside, end) = branch(emit, is_inside);
    begin(emit, inside);
    body(emit, position);
    repeat(emit, head, position, STEP);
    begin(emit, end);
}
