//! The imports `argument_read` and `argument_write`: the memory of the arguments of the method that is called.
//!
//! The input begins with the method's words. Which of them are an argument's is in the blob's read-only data, by the number of
//! the function, which the entry leaves behind.

use bareflow_abi::interface::{ArgumentKind, FIRST_FUNCTION, MAX_ARGUMENTS};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{Block, InstBuilder, MemFlagsData, Value};

use crate::emitter::Emitter;
use crate::plan::Arguments;
use crate::routines::Routine;
use crate::runtime::blocks::{begin, go_on_if, go_on_inside};
use crate::runtime::ranges::range;
use crate::runtime::services::{CONTEXT, TRUSTED, field};

/// The direction of a copy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the argument to linear memory.
    Read,
    /// From linear memory to the argument.
    Write,
}

impl Direction {
    /// Returns the kinds of arguments that can be copied, which have adjacent numbers.
    const fn kinds(self) -> (ArgumentKind, ArgumentKind) {
        match self {
            Direction::Read => (ArgumentKind::Text, ArgumentKind::SliceMut),
            Direction::Write => (ArgumentKind::SliceMut, ArgumentKind::Out),
        }
    }
}

/// Emits the import: number, offset in the argument, address, length. Returns the number of bytes copied.
pub(super) fn copy(emit: &mut Emitter<'_, '_>, context: Value, direction: Direction) -> Value {
    let offset = emit.parameter(1);
    let offset = emit.extend(offset);
    let (own, length) = range(emit, 2, 3);
    // Without functions there are no arguments.
    let Some(place) = emit.environment.plan.arguments else {
        return emit.builder.ins().iconst(I32, 0);
    };
    let nothing = emit.builder.create_block();
    let entry = entry_of(emit, place, nothing);
    let kind = emit.builder.ins().band_imm_u(entry, i64::from(Arguments::KIND));
    let (first, last) = direction.kinds();
    let distance = emit.builder.ins().iadd_imm_s(kind, -(first as i64));
    let count = last as i64 - first as i64 + 1;
    let is_it = emit.builder.ins().icmp_imm_u(IntCC::UnsignedLessThan, distance, count);
    go_on_if(emit, is_it, nothing);
    // An input without these words is no method's.
    let position = emit.builder.ins().ushr_imm_u(entry, i64::from(Arguments::KIND_BITS));
    let position = emit.builder.ins().ishl_imm_u(position, 3);
    let end = emit.builder.ins().iadd_imm_s(position, 16);
    let input_length = emit.builder.ins().load(I64, TRUSTED, context, field(CONTEXT.input_length));
    let is_there = emit.builder.ins().icmp(IntCC::UnsignedLessThanOrEqual, end, input_length);
    go_on_if(emit, is_there, nothing);
    let input = emit.builder.ins().load(I64, TRUSTED, context, field(CONTEXT.input));
    let output = emit.builder.ins().load(I64, TRUSTED, context, field(CONTEXT.output));
    let words = emit.builder.ins().iadd(input, position);
    let unaligned = MemFlagsData::new().with_trap_code(None);
    let address = emit.builder.ins().load(I64, unaligned, words, 0);
    let whole = emit.builder.ins().load(I64, unaligned, words, 8);
    let is_read = emit.builder.ins().icmp_imm_u(IntCC::UnsignedLessThan, kind, ArgumentKind::SliceMut as i64);
    let base = emit.builder.ins().select(is_read, input, output);
    let offset = emit.builder.ins().umin(offset, whole);
    let rest = emit.builder.ins().isub(whole, offset);
    let count = emit.builder.ins().umin(rest, length);
    let start = emit.builder.ins().iadd(base, address);
    let lent = emit.builder.ins().iadd(start, offset);
    let (to, from) = if direction == Direction::Read { (own, lent) } else { (lent, own) };
    emit.call_routine(Routine::Copy, &[to, from, count]);
    let count = emit.builder.ins().ireduce(I32, count);
    emit.builder.ins().return_(&[count]);
    begin(emit, nothing);
    emit.builder.ins().iconst(I32, 0)
}

/// Returns the entry of the argument with the number in the first parameter; goes on at `nothing` if there is none.
fn entry_of(emit: &mut Emitter<'_, '_>, place: Arguments, nothing: Block) -> Value {
    let (data, flags) = (emit.data(), emit.context_flags());
    let reason = emit.builder.ins().load(I32, flags, data, place.reason.cast_signed());
    let function = emit.builder.ins().iadd_imm_s(reason, -i64::from(FIRST_FUNCTION));
    let is_function = emit.builder.ins().icmp_imm_u(IntCC::UnsignedLessThan, function, i64::from(place.functions));
    go_on_if(emit, is_function, nothing);
    let number = emit.parameter(0);
    let outside = emit.builder.ins().icmp_imm_u(IntCC::UnsignedGreaterThanOrEqual, number, MAX_ARGUMENTS as i64);
    let number = go_on_inside(emit, outside, number, nothing);
    let (function, number) = (emit.extend(function), emit.extend(number));
    let rodata = emit.rodata();
    let distance = emit.builder.ins().ishl_imm_u(function, 3);
    let entries = emit.builder.ins().iadd(rodata, distance);
    let entry = emit.builder.ins().iadd(entries, number);
    let constant = MemFlagsData::trusted().with_readonly();
    emit.builder.ins().uload8(I64, constant, entry, place.offset.cast_signed())
}
