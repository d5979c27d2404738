//! The memory's length, and bulk operations.

use cranelift_codegen::ir::types::{I8, I32, I64};
use cranelift_codegen::ir::{InstBuilder, TrapCode, Value};
use wasmparser::Operator;

use super::Translator;
use crate::module::Placement;
use crate::names::Routine;

impl Translator<'_, '_> {
    /// Translates an operator on the whole memory or on data segments. Returns `false` for others.
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
            Operator::MemoryInit { data_index, .. } => self.memory_init(data_index),
            Operator::DataDrop { data_index } => {
                let mark = self.emit.environment.plan.layout.data_dropped + data_index;
                self.mark_dropped(mark);
            }
            _ => return false,
        }
        true
    }

    /// Checks a range of memory, whose length has 64 bits. Returns its address, and the length.
    fn checked_place(&mut self, start: Value, length: Value) -> (Value, Value) {
        let (start, limit) = (self.emit.extend(start), self.emit.memory_bytes());
        let length = self.check_range(start, length, limit, TrapCode::HEAP_OUT_OF_BOUNDS);
        let base = self.emit.memory();
        (self.emit.builder.ins().iadd(base, start), length)
    }

    fn memory_init(&mut self, segment: u32) {
        let [to, from, length] = self.pop_array();
        let environment = self.emit.environment;
        let data = &environment.module.data[segment as usize];
        let is_passive = data.placement == Placement::Passive;
        let size = if is_passive { data.bytes.len() as u64 } else { 0 };
        let mark = environment.plan.layout.data_dropped + segment;
        let limit = self.segment_length(size, mark);
        let (from, length) = (self.emit.extend(from), self.emit.extend(length));
        let length = self.check_range(from, length, limit, TrapCode::HEAP_OUT_OF_BOUNDS);
        let (to, length) = self.checked_place(to, length);
        let start = self.place_in_rodata(environment.plan.rodata.data[segment as usize], from);
        self.emit.call_routine(Routine::Copy, &[to, start, length]);
    }

    /// Returns the length of a segment, which is 0 once it is dropped.
    pub(super) fn segment_length(&mut self, length: u64, mark: u32) -> Value {
        let whole = self.emit.builder.ins().iconst(I64, length.cast_signed());
        if length == 0 {
            return whole;
        }
        let (data, flags) = (self.emit.data(), self.emit.state_flags());
        let dropped = self.emit.builder.ins().load(I8, flags, data, mark.cast_signed());
        let none = self.emit.builder.ins().iconst(I64, 0);
        self.emit.builder.ins().select(dropped, none, whole)
    }

    pub(super) fn mark_dropped(&mut self, mark: u32) {
        let (data, flags) = (self.emit.data(), self.emit.state_flags());
        let one = self.emit.builder.ins().iconst(I8, 1);
        self.emit.builder.ins().store(flags, one, data, mark.cast_signed());
    }

    /// Returns an address in the read-only data: a constant offset plus a number of bytes.
    pub(super) fn place_in_rodata(&mut self, offset: u32, bytes: Value) -> Value {
        let rodata = self.emit.rodata();
        let start = self.emit.builder.ins().iadd_imm_s(rodata, i64::from(offset));
        self.emit.builder.ins().iadd(start, bytes)
    }
}
