//! Blocks: branches and loops.

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{Block, InstBuilder, Value};

use crate::emitter::Emitter;

/// Begins a loop with a counter. Returns its start and the counter.
pub(super) fn loop_from(emit: &mut Emitter<'_, '_>, first: Value) -> (Block, Value) {
    let head = emit.builder.create_block();
    let position = emit.builder.append_block_param(head, I64);
    emit.builder.ins().jump(head, &[first.into()]);
    emit.builder.switch_to_block(head);
    (head, position)
}

/// Ends a loop's body: goes on with a counter that is greater by `step`.
pub(super) fn repeat(emit: &mut Emitter<'_, '_>, head: Block, position: Value, step: i64) {
    let next = emit.builder.ins().iadd_imm_s(position, step);
    emit.builder.ins().jump(head, &[next.into()]);
    emit.builder.seal_block(head);
}

/// Branches on a condition. Returns both blocks.
pub(super) fn branch(emit: &mut Emitter<'_, '_>, condition: Value) -> (Block, Block) {
    let (then, otherwise) = (emit.builder.create_block(), emit.builder.create_block());
    emit.builder.ins().brif(condition, then, &[], otherwise, &[]);
    (then, otherwise)
}

/// Goes on in a new block if a condition is true, and else in `otherwise`.
pub(super) fn go_on_if(emit: &mut Emitter<'_, '_>, condition: Value, otherwise: Block) {
    let next = emit.builder.create_block();
    emit.builder.ins().brif(condition, next, &[], otherwise, &[]);
    begin(emit, next);
}

/// Goes on in a new block if `value` is not `outside`, and else in `otherwise`. Returns the value, guarded.
pub(super) fn go_on_inside(emit: &mut Emitter<'_, '_>, outside: Value, value: Value, otherwise: Block) -> Value {
    let next = emit.builder.create_block();
    emit.builder.ins().brif(outside, otherwise, &[], next, &[]);
    begin(emit, next);
    emit.guarded(outside, value)
}

/// Begins a block to which all branches are known.
pub(super) fn begin(emit: &mut Emitter<'_, '_>, block: Block) {
    emit.builder.switch_to_block(block);
    emit.builder.seal_block(block);
}
