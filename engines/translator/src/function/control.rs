//! Blocks and branches, and what can't be reached.

use alloc::vec::Vec;

use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, JumpTableData};
use wasmparser::{BrTable, Operator};

use super::Translator;
use super::frame::{Frame, FrameKind};
use crate::traps::UNREACHABLE;

impl Translator<'_, '_> {
    /// Translates an operator of control. Returns `false` for others.
    pub(super) fn control(&mut self, operator: &Operator<'_>) -> bool {
        match operator {
            Operator::Block { blockty } => {
                let (parameters, results) = self.counts(*blockty);
                let end = self.block_of(*blockty);
                self.open(FrameKind::Block, end, end, parameters, results);
            }
            Operator::Loop { blockty } => self.enter_loop(*blockty),
            Operator::If { blockty } => self.enter_if(*blockty),
            Operator::Else => self.enter_else(),
            Operator::End => self.leave(),
            Operator::Br { relative_depth } => {
                let (target, arguments) = self.branch(*relative_depth);
                self.emit.builder.ins().jump(target, &arguments);
                self.is_reachable = false;
            }
            Operator::BrIf { relative_depth } => {
                let condition = self.pop();
                let (target, arguments) = self.branch(*relative_depth);
                let next = self.emit.builder.create_block();
                self.emit.builder.ins().brif(condition, target, &arguments, next, &[]);
                self.emit.builder.switch_to_block(next);
                self.emit.builder.seal_block(next);
            }
            Operator::BrTable { targets } => self.branch_table(targets),
            Operator::Return => {
                let count = self.frames.first().map_or(0, |frame| frame.arity);
                let values = self.pop_many(count);
                self.emit.builder.ins().return_(&values);
                self.is_reachable = false;
            }
            Operator::Unreachable => {
                self.emit.builder.ins().trap(UNREACHABLE);
                self.is_reachable = false;
            }
            _ => return false,
        }
        true
    }

    /// Looks at an operator that can't be reached, which may end that.
    pub(super) fn skip(&mut self, operator: &Operator<'_>) {
        match operator {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                let none = Block::from_u32(0);
                let height = self.operands.len();
                let kind = FrameKind::Dead;
                self.frames.push(Frame { target: none, arity: 0, end: none, height, kind, is_end_used: false });
            }
            Operator::Else => self.enter_else(),
            Operator::End => self.leave(),
            _ => {}
        }
    }

    /// Returns a branch's destination and the values that it passes, which stay on the stack.
    fn branch(&mut self, depth: u32) -> (Block, Vec<BlockArg>) {
        let number = self.frames.len() - 1 - depth as usize;
        let frame = &mut self.frames[number];
        frame.is_end_used |= frame.target == frame.end;
        let first = self.operands.len() - frame.arity;
        (frame.target, self.operands[first..].iter().map(|value| (*value).into()).collect())
    }

    fn branch_table(&mut self, targets: &BrTable<'_>) {
        let index = self.pop();
        let mut calls = Vec::with_capacity(targets.len() as usize);
        for depth in targets.targets() {
            // The validator has read them all.
            let (block, arguments) = self.branch(depth.unwrap_or(0));
            calls.push(self.emit.builder.func.dfg.block_call(block, &arguments));
        }
        let (block, arguments) = self.branch(targets.default());
        let default = self.emit.builder.func.dfg.block_call(block, &arguments);
        let table = self.emit.builder.create_jump_table(JumpTableData::new(default, &calls));
        self.emit.builder.ins().br_table(index, table);
        self.is_reachable = false;
    }
}
