//! Makes the instance: copies data segments into the zeroed memory, and calls the start function.
//!
//! Tables and globals lie in the blob's data as they are at first. Whether segments lie within is known beforehand.

use bareflow_portable::state::INSTANTIATED;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData};

use super::blocks::{begin, branch, loop_from, repeat};
use crate::emitter::Emitter;
use crate::plan::ACTIVE_BYTES;
use crate::routines::Routine;
use crate::traps::code_of;

/// Emits a function without arguments.
pub(super) fn emit(emit: &mut Emitter<'_, '_>) {
    let plan = emit.environment.plan;
    if let Some(kind) = plan.data.trap {
        emit.builder.ins().trap(code_of(kind));
        return;
    }
    if plan.rodata.active_count > 0 {
        copy_segments(emit, plan.rodata.active, plan.rodata.active_count);
    }
    let (data, flags) = (emit.data(), emit.context_flags());
    let one = emit.builder.ins().iconst(I64, 1);
    emit.builder.ins().store(flags, one, data, INSTANTIATED.cast_signed());
    if let Some(start) = emit.environment.module.sections.start {
        let start = emit.module_function(start);
        emit.builder.ins().call(start, &[]);
    }
    emit.builder.ins().return_(&[]);
}

/// Emits a loop over the list of active segments.
fn copy_segments(emit: &mut Emitter<'_, '_>, list: u32, count: u32) {
    let (memory, rodata) = (emit.memory(), emit.rodata());
    let constant = MemFlagsData::trusted().with_readonly();
    let first = emit.builder.ins().iconst(I64, i64::from(list));
    let (head, position) = loop_from(emit, first);
    let end = i64::from(list + count * ACTIVE_BYTES);
    let is_inside = emit.builder.ins().icmp_imm_u(IntCC::UnsignedLessThan, position, end);
    let (body, done) = branch(emit, is_inside);
    begin(emit, body);
    let entry = emit.builder.ins().iadd(rodata, position);
    let [offset, length, source] = [0, 4, 8].map(|field| {
        let word = emit.builder.ins().load(I32, constant, entry, field);
        emit.extend(word)
    });
    let to = emit.builder.ins().iadd(memory, offset);
    let from = emit.builder.ins().iadd(rodata, source);
    emit.call_routine(Routine::Copy, &[to, from, length]);
    repeat(emit, head, position, i64::from(ACTIVE_BYTES));
    begin(emit, done);
}
