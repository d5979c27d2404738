//! Frames: the operators that are open, and the blocks at their ends.

use alloc::vec::Vec;

use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, Value};
use wasmparser::{BlockType, FuncType};

use super::Translator;
use crate::signatures::type_of;

/// An operator that is open: a block, a loop, a condition, or the function's body.
pub(super) struct Frame {
    /// The destination of branches: the end, or the start of a loop.
    pub target: Block,
    /// The number of values that a branch passes.
    pub arity: usize,
    /// The block after the end.
    pub end: Block,
    /// The number of operands below those of this frame.
    pub height: usize,
    pub kind: FrameKind,
    /// Whether the end is reached by a branch.
    pub is_end_used: bool,
}

pub(super) enum FrameKind {
    Block,
    Loop,
    /// The block of the branch not yet translated, and the operands that it begins with.
    If {
        otherwise: Block,
        operands: Vec<Value>,
    },
    /// An operator that can't be reached.
    Dead,
}

impl Translator<'_, '_> {
    /// Opens the function's body.
    pub(super) fn enter_function(&mut self, number: u32) {
        let results = self.emit.environment.module.type_of(number).results();
        let end = self.block_with(results);
        let (arity, kind) = (results.len(), FrameKind::Block);
        self.frames.push(Frame { target: end, arity, end, height: 0, kind, is_end_used: false });
    }

    pub(super) fn enter_loop(&mut self, block_type: BlockType) {
        let (parameters, results) = self.counts(block_type);
        let end = self.block_of(block_type);
        let start = self.emit.builder.create_block();
        let first = self.operands.len() - parameters;
        let arguments: Vec<BlockArg> = self.operands[first..].iter().map(|value| (*value).into()).collect();
        for operand in &mut self.operands[first..] {
            let value_type = self.emit.builder.func.dfg.value_type(*operand);
            *operand = self.emit.builder.append_block_param(start, value_type);
        }
        self.emit.builder.ins().jump(start, &arguments);
        self.emit.builder.switch_to_block(start);
        self.open(FrameKind::Loop, start, end, parameters, results);
    }

    pub(super) fn enter_if(&mut self, block_type: BlockType) {
        let condition = self.pop();
        let (parameters, results) = self.counts(block_type);
        let end = self.block_of(block_type);
        let (then, otherwise) = (self.emit.builder.create_block(), self.emit.builder.create_block());
        self.emit.builder.ins().brif(condition, then, &[], otherwise, &[]);
        self.emit.builder.seal_block(then);
        self.emit.builder.seal_block(otherwise);
        self.emit.builder.switch_to_block(then);
        let operands = self.operands[self.operands.len() - parameters..].to_vec();
        self.open(FrameKind::If { otherwise, operands }, end, end, parameters, results);
    }

    pub(super) fn open(&mut self, kind: FrameKind, target: Block, end: Block, parameters: usize, results: usize) {
        let arity = if matches!(kind, FrameKind::Loop) { parameters } else { results };
        let height = self.operands.len() - parameters;
        self.frames.push(Frame { target, arity, end, height, kind, is_end_used: false });
    }

    pub(super) fn enter_else(&mut self) {
        let Some(mut frame) = self.frames.pop() else { return };
        if let FrameKind::If { otherwise, operands } = core::mem::replace(&mut frame.kind, FrameKind::Block) {
            self.jump_to_end(&mut frame);
            self.operands.truncate(frame.height);
            self.operands.extend(operands);
            self.emit.builder.switch_to_block(otherwise);
            self.is_reachable = true;
        } else {
            frame.kind = FrameKind::Dead;
        }
        self.frames.push(frame);
    }

    pub(super) fn leave(&mut self) {
        let Some(mut frame) = self.frames.pop() else { return };
        if self.is_reachable && !frame.is_end_used && matches!(frame.kind, FrameKind::Block | FrameKind::Loop) {
            // Nothing branches to the end, so the code just goes on.
            if matches!(frame.kind, FrameKind::Loop) {
                self.emit.builder.seal_block(frame.target);
            }
            self.return_at_end();
            return;
        }
        self.jump_to_end(&mut frame);
        match core::mem::replace(&mut frame.kind, FrameKind::Block) {
            FrameKind::Dead => return,
            FrameKind::Block => {}
            FrameKind::Loop => self.emit.builder.seal_block(frame.target),
            FrameKind::If { otherwise, operands } => {
                // There is no `else`, so the operands are the results.
                self.emit.builder.switch_to_block(otherwise);
                self.operands.truncate(frame.height);
                self.operands.extend(operands);
                self.is_reachable = true;
                self.jump_to_end(&mut frame);
            }
        }
        self.operands.truncate(frame.height);
        self.is_reachable = frame.is_end_used;
        if self.is_reachable {
            self.emit.builder.switch_to_block(frame.end);
            self.operands.extend_from_slice(self.emit.builder.block_params(frame.end));
        }
        self.emit.builder.seal_block(frame.end);
        self.return_at_end();
    }

    /// Returns, if this is the function's end and can be reached.
    fn return_at_end(&mut self) {
        if self.frames.is_empty() && self.is_reachable {
            let values = core::mem::take(&mut self.operands);
            self.emit.builder.ins().return_(&values);
        }
    }

    /// Jumps to the frame's end, if that can be reached.
    fn jump_to_end(&mut self, frame: &mut Frame) {
        if self.is_reachable {
            let count = self.emit.builder.block_params(frame.end).len();
            let arguments: Vec<BlockArg> = self.pop_many(count).into_iter().map(BlockArg::from).collect();
            self.emit.builder.ins().jump(frame.end, &arguments);
            frame.is_end_used = true;
            self.is_reachable = false;
        }
    }

    /// Returns the numbers of parameters and results of a block.
    pub(super) fn counts(&self, block_type: BlockType) -> (usize, usize) {
        match block_type {
            BlockType::Empty => (0, 0),
            BlockType::Type(_) => (0, 1),
            BlockType::FuncType(index) => {
                let function: &FuncType = &self.emit.environment.module.sections.types[index as usize];
                (function.params().len(), function.results().len())
            }
        }
    }

    /// Creates the block that follows one of this type: its parameters are the results.
    pub(super) fn block_of(&mut self, block_type: BlockType) -> Block {
        match block_type {
            BlockType::Empty => self.emit.builder.create_block(),
            BlockType::Type(value) => self.block_with(&[value]),
            BlockType::FuncType(index) => {
                let module = self.emit.environment.module;
                self.block_with(module.sections.types[index as usize].results())
            }
        }
    }

    fn block_with(&mut self, types: &[wasmparser::ValType]) -> Block {
        let block = self.emit.builder.create_block();
        for value in types {
            self.emit.builder.append_block_param(block, type_of(*value));
        }
        block
    }
}
