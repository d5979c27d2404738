//! Passive segments: what operators copy from them, and how they drop them.

use bareflow_portable::sections::SegmentMode;
use cranelift_codegen::ir::types::{I8, I64};
use cranelift_codegen::ir::{InstBuilder, TrapCode, Value};
use wasmparser::Operator;

use super::Translator;
use crate::routines::Routine;
use crate::traps::TABLE_OUT_OF_BOUNDS;

impl Translator<'_, '_> {
    /// Translates an operator on segments. Returns `false` for others.
    pub(super) fn segment(&mut self, operator: &Operator<'_>) -> bool {
        match *operator {
            Operator::MemoryInit { data_index, .. } => self.memory_init(data_index),
            Operator::DataDrop { data_index } => {
                let mark = self.emit.environment.plan.layout.data_dropped + data_index;
                self.mark_dropped(mark);
            }
            Operator::TableInit { elem_index, table } => self.table_init(elem_index, table),
            Operator::ElemDrop { elem_index } => {
                let mark = self.emit.environment.plan.layout.elements_dropped + elem_index;
                self.mark_dropped(mark);
            }
            _ => return false,
        }
        true
    }

    fn memory_init(&mut self, segment: u32) {
        let [to, from, length] = self.pop_array();
        let environment = self.emit.environment;
        let data = &environment.module.sections.data[segment as usize];
        let is_passive = data.mode == SegmentMode::Passive;
        let size = if is_passive { data.bytes.len() as u64 } else { 0 };
        let mark = environment.plan.layout.data_dropped + segment;
        let limit = self.segment_length(size, mark);
        let (from, length) = (self.emit.extend(from), self.emit.extend(length));
        let length = self.check_range(from, length, limit, TrapCode::HEAP_OUT_OF_BOUNDS);
        let (to, length) = self.checked_place(to, length);
        let start = self.place_in_rodata(environment.plan.rodata.data[segment as usize], from);
        self.emit.call_routine(Routine::Copy, &[to, start, length]);
    }

    fn table_init(&mut self, segment: u32, table: u32) {
        let [to, from, count] = self.pop_array();
        let environment = self.emit.environment;
        let elements = &environment.module.sections.elements[segment as usize];
        let is_passive = elements.mode == SegmentMode::Passive;
        let size = if is_passive { elements.items.len() as u64 } else { 0 };
        let limit = self.segment_length(size, environment.plan.layout.elements_dropped + segment);
        let (from, count) = (self.emit.extend(from), self.emit.extend(count));
        let count = self.check_range(from, count, limit, TABLE_OUT_OF_BOUNDS);
        let (to, count) = self.checked_elements(table, to, count);
        let bytes = self.emit.builder.ins().ishl_imm_u(from, 2);
        let start = self.place_in_rodata(environment.plan.rodata.elements[segment as usize], bytes);
        let bytes = self.emit.builder.ins().ishl_imm_u(count, 2);
        self.emit.call_routine(Routine::Copy, &[to, start, bytes]);
    }

    /// Returns the length of a segment, which is 0 once it is dropped.
    fn segment_length(&mut self, length: u64, mark: u32) -> Value {
        let whole = self.emit.builder.ins().iconst(I64, length.cast_signed());
        if length == 0 {
            return whole;
        }
        let (data, flags) = (self.emit.data(), self.emit.state_flags());
        let dropped = self.emit.builder.ins().load(I8, flags, data, mark.cast_signed());
        let none = self.emit.builder.ins().iconst(I64, 0);
        self.emit.builder.ins().select(dropped, none, whole)
    }

    fn mark_dropped(&mut self, mark: u32) {
        let (data, flags) = (self.emit.data(), self.emit.state_flags());
        let one = self.emit.builder.ins().iconst(I8, 1);
        self.emit.builder.ins().store(flags, one, data, mark.cast_signed());
    }

    /// Returns an address in the read-only data: a constant offset plus a number of bytes.
    fn place_in_rodata(&mut self, offset: u32, bytes: Value) -> Value {
        let rodata = self.emit.rodata();
        let start = self.emit.builder.ins().iadd_imm_s(rodata, i64::from(offset));
        self.emit.builder.ins().iadd(start, bytes)
    }
}
