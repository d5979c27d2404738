//! Direct and indirect calls.

use alloc::vec::Vec;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{Inst, InstBuilder, MemFlagsData, Value};
use wasmparser::Operator;

use super::Translator;
use crate::traps::{TYPE_MISMATCH, UNINITIALIZED_ELEMENT};

impl Translator<'_, '_> {
    /// Translates a call. Returns `false` for other operators.
    pub(super) fn call(&mut self, operator: &Operator<'_>) -> bool {
        match *operator {
            Operator::Call { function_index } => {
                let count = self.emit.environment.module.type_of(function_index).params().len();
                let arguments = self.pop_many(count);
                let function = self.emit.module_function(function_index);
                let call = self.emit.builder.ins().call(function, &arguments);
                self.push_results(call);
            }
            Operator::CallIndirect { type_index, table_index } => {
                let index = self.pop();
                let target = self.target(type_index, table_index, index);
                let count = self.emit.environment.module.sections.types[type_index as usize].params().len();
                let arguments: Vec<_> = self.pop_many(count);
                let signature = self.emit.type_signature(type_index);
                let call = self.emit.builder.ins().call_indirect(signature, target, &arguments);
                self.push_results(call);
            }
            _ => return false,
        }
        true
    }

    fn push_results(&mut self, call: Inst) {
        self.operands.extend_from_slice(self.emit.builder.inst_results(call));
    }

    /// Returns the address of the function that an element refers to, which is one of this type.
    ///
    /// The read-only data begins with an entry for each reference: the function's type, and the distance of its code from
    /// the read-only data.
    fn target(&mut self, type_index: u32, table: u32, index: Value) -> Value {
        let element = self.element(table, index);
        let flags = self.emit.state_flags();
        let reference = self.emit.builder.ins().load(I32, flags, element, 0);
        self.emit.builder.ins().trapz(reference, UNINITIALIZED_ELEMENT);
        let rodata = self.emit.rodata();
        let reference = self.emit.extend(reference);
        let distance = self.emit.builder.ins().ishl_imm_u(reference, 3);
        let entry = self.emit.builder.ins().iadd(rodata, distance);
        let constant = MemFlagsData::trusted().with_readonly();
        let found = self.emit.builder.ins().load(I32, constant, entry, 0);
        let expected = self.emit.environment.module.canonical_types[type_index as usize];
        let differs = self.emit.builder.ins().icmp_imm_u(IntCC::NotEqual, found, i64::from(expected));
        self.emit.trap_if(differs, TYPE_MISMATCH);
        let code = self.emit.builder.ins().sload32(constant, entry, 4);
        debug_assert_eq!(self.emit.builder.func.dfg.value_type(code), I64);
        self.emit.builder.ins().iadd(rodata, code)
    }
}
