//! The memory's length, and operations on many bytes.

use cranelift_codegen::ir::types::I32;
use cranelift_codegen::ir::{InstBuilder, TrapCode, Value};
use wasmparser::Operator;

use super::Translator;
use crate::routines::Routine;

impl Translator<'_, '_> {
    /// Translates an operator on the whole memory. Returns `false` for others.
    pub(super) fn memory_operator(&mut self, operator: &Operator<'_>) -> bool {
        match *operator {
            Operator::MemorySize { .. } => {
                let bytes = self.emit.memory_bytes();
                let pages = self.emit.builder.ins().ushr_imm_u(bytes, 16);
                let pages = self.emit.builder.ins().ireduce(I32, pages);
                self.push(pages);
            }
            Operator::MemoryGrow { .. } => {
                let pages = self.pop();
                let before = self.emit.call_routine(Routine::GrowMemory, &[pages]);
                self.operands.extend(before);
            }
            Operator::MemoryCopy { .. } => {
                let [to, from, length] = self.pop_array();
                let length = self.emit.extend(length);
                let (to, length) = self.checked_place(to, length);
                let (from, length) = self.checked_place(from, length);
                self.emit.call_routine(Routine::Copy, &[to, from, length]);
            }
            Operator::MemoryFill { .. } => {
                let [to, byte, length] = self.pop_array();
                let length = self.emit.extend(length);
                let (to, length) = self.checked_place(to, length);
                self.emit.call_routine(Routine::Fill, &[to, byte, length]);
            }
            _ => return false,
        }
        true
    }

    /// Checks a range of memory, whose length has 64 bits. Returns its address, and the length.
    pub(super) fn checked_place(&mut self, start: Value, length: Value) -> (Value, Value) {
        let (start, limit) = (self.emit.extend(start), self.emit.memory_bytes());
        let length = self.check_range(start, length, limit, TrapCode::HEAP_OUT_OF_BOUNDS);
        let base = self.emit.memory();
        (self.emit.builder.ins().iadd(base, start), length)
    }
}
