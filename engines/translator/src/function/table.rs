//! Tables and references.
//!
//! A reference is an element of a table: a function's number plus one, or 0 for null.

use bareflow_portable::state::TablePlace;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use wasmparser::Operator;

use super::Translator;
use crate::routines::Routine;
use crate::traps::TABLE_OUT_OF_BOUNDS;

impl Translator<'_, '_> {
    /// Translates an operator on tables or references. Returns `false` for others.
    pub(super) fn table(&mut self, operator: &Operator<'_>) -> bool {
        match *operator {
            Operator::RefNull { .. } => {
                let null = self.constant(0);
                self.push(null);
            }
            Operator::RefFunc { function_index } => {
                let reference = self.constant(function_index + 1);
                self.push(reference);
            }
            Operator::RefIsNull => {
                let reference = self.pop();
                let is_null = self.emit.builder.ins().icmp_imm_u(IntCC::Equal, reference, 0);
                let is_null = self.emit.builder.ins().uextend(I32, is_null);
                self.push(is_null);
            }
            Operator::TableGet { table } => {
                let index = self.pop();
                let address = self.element(table, index);
                let flags = self.emit.state_flags();
                let reference = self.emit.builder.ins().load(I32, flags, address, 0);
                self.push(reference);
            }
            Operator::TableSet { table } => {
                let [index, reference] = self.pop_array();
                let address = self.element(table, index);
                let flags = self.emit.state_flags();
                self.emit.builder.ins().store(flags, reference, address, 0);
            }
            Operator::TableSize { table } => {
                let size = self.table_size(table);
                self.push(size);
            }
            Operator::TableGrow { table } => self.table_grow(table),
            Operator::TableFill { table } => {
                let [start, reference, count] = self.pop_array();
                let count = self.emit.extend(count);
                let (to, count) = self.checked_elements(table, start, count);
                self.emit.call_routine(Routine::FillElements, &[to, reference, count]);
            }
            Operator::TableCopy { dst_table, src_table } => {
                let [to, from, count] = self.pop_array();
                let count = self.emit.extend(count);
                let (to, count) = self.checked_elements(dst_table, to, count);
                let (from, count) = self.checked_elements(src_table, from, count);
                let bytes = self.emit.builder.ins().ishl_imm_u(count, 2);
                self.emit.call_routine(Routine::Copy, &[to, from, bytes]);
            }
            _ => return false,
        }
        true
    }

    fn place(&self, table: u32) -> TablePlace {
        self.emit.environment.plan.layout.tables[table as usize]
    }

    /// Returns a table's current size: a constant if it can't grow.
    pub(super) fn table_size(&mut self, table: u32) -> Value {
        let module = self.emit.environment.module;
        if !module.grows_table[table as usize] {
            return self.constant(module.sections.tables[table as usize].limits.initial as u32);
        }
        let (data, flags, place) = (self.emit.data(), self.emit.state_flags(), self.place(table));
        self.emit.builder.ins().load(I32, flags, data, place.offset.cast_signed())
    }

    /// Checks the index of an element. Returns the element's address.
    pub(super) fn element(&mut self, table: u32, index: Value) -> Value {
        let size = self.table_size(table);
        let outside = self.emit.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, size);
        self.emit.trap_if(outside, TABLE_OUT_OF_BOUNDS);
        let index = self.emit.extend(index);
        let address = self.element_address(table, index);
        if !self.emit.environment.options.spectre_guard {
            return address;
        }
        // The word behind the table's size is 0, as null is; the context's words are addresses.
        let (data, null) = (self.emit.data(), self.place(table).unused());
        let null = self.emit.builder.ins().iadd_imm_s(data, i64::from(null));
        self.emit.builder.ins().select_spectre_guard(outside, null, address)
    }

    fn element_address(&mut self, table: u32, index: Value) -> Value {
        let (data, first) = (self.emit.data(), self.place(table).elements());
        let start = self.emit.builder.ins().iadd_imm_s(data, i64::from(first));
        let bytes = self.emit.builder.ins().ishl_imm_u(index, 2);
        self.emit.builder.ins().iadd(start, bytes)
    }

    /// Checks a range of elements, whose number has 64 bits. Returns the first one's address, and the number.
    pub(super) fn checked_elements(&mut self, table: u32, start: Value, count: Value) -> (Value, Value) {
        let size = self.table_size(table);
        let (start, size) = (self.emit.extend(start), self.emit.extend(size));
        let count = self.check_range(start, count, size, TABLE_OUT_OF_BOUNDS);
        (self.element_address(table, start), count)
    }

    fn table_grow(&mut self, table: u32) {
        let [reference, count] = self.pop_array();
        let (size, place) = (self.table_size(table), self.place(table));
        let (wide, count) = (self.emit.extend(size), self.emit.extend(count));
        let after = self.emit.builder.ins().iadd(wide, count);
        let fits = self.emit.builder.ins().icmp_imm_u(IntCC::UnsignedLessThanOrEqual, after, i64::from(place.room));
        let none = self.emit.builder.ins().iconst(I64, 0);
        let added = self.emit.builder.ins().select(fits, count, none);
        let after = self.emit.builder.ins().iadd(wide, added);
        let after = self.emit.builder.ins().ireduce(I32, after);
        let (data, flags) = (self.emit.data(), self.emit.state_flags());
        self.emit.builder.ins().store(flags, after, data, place.offset.cast_signed());
        let to = self.element_address(table, wide);
        self.emit.call_routine(Routine::FillElements, &[to, reference, added]);
        let failed = self.constant(u32::MAX);
        let before = self.emit.builder.ins().select(fits, size, failed);
        self.push(before);
    }
}
