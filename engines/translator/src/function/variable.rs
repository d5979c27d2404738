//! Locals, globals and operands.

use bareflow_portable::refusal::Refusal;
use bareflow_portable::state::StateLayout;
use cranelift_codegen::ir::immediates::{Ieee32, Ieee64};
use cranelift_codegen::ir::types::{F32, F64};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use wasmparser::{FunctionBody, Operator};

use super::Translator;
use crate::signatures::type_of;

impl Translator<'_, '_> {
    /// Declares parameters and locals. The latter are zero at first.
    pub(super) fn declare_locals(&mut self, number: u32, body: &FunctionBody<'_>) -> Result<(), Refusal> {
        let module = self.emit.environment.module;
        for (index, parameter) in module.type_of(number).params().iter().enumerate() {
            let variable = self.emit.builder.declare_var(type_of(*parameter));
            let value = self.emit.parameter(index);
            self.emit.builder.def_var(variable, value);
            self.locals.push(variable);
        }
        for group in body.get_locals_reader()? {
            let (count, value_type) = group?;
            let value_type = type_of(value_type);
            let zero = self.zero(value_type);
            for _ in 0..count {
                let variable = self.emit.builder.declare_var(value_type);
                self.emit.builder.def_var(variable, zero);
                self.locals.push(variable);
            }
        }
        Ok(())
    }

    fn zero(&mut self, value_type: Type) -> Value {
        match value_type {
            F32 => self.emit.builder.ins().f32const(Ieee32::with_bits(0)),
            F64 => self.emit.builder.ins().f64const(Ieee64::with_bits(0)),
            _ => self.emit.builder.ins().iconst(value_type, 0),
        }
    }

    /// Translates an operator on locals, globals or operands as such. Returns `false` for others.
    pub(super) fn variable(&mut self, operator: &Operator<'_>) -> bool {
        match *operator {
            Operator::LocalGet { local_index } => {
                let value = self.emit.builder.use_var(self.locals[local_index as usize]);
                self.push(value);
            }
            Operator::LocalSet { local_index } => {
                let value = self.pop();
                self.emit.builder.def_var(self.locals[local_index as usize], value);
            }
            Operator::LocalTee { local_index } => {
                let value = self.pop();
                self.emit.builder.def_var(self.locals[local_index as usize], value);
                self.push(value);
            }
            Operator::GlobalGet { global_index } => self.global_get(global_index),
            Operator::GlobalSet { global_index } => {
                let value = self.pop();
                let (data, flags) = (self.emit.data(), self.emit.state_flags());
                let offset = StateLayout::global(global_index).cast_signed();
                self.emit.builder.ins().store(flags, value, data, offset);
            }
            Operator::Drop => {
                self.pop();
            }
            Operator::Select | Operator::TypedSelect { .. } => {
                let [first, second, condition] = self.pop_array();
                let value = self.emit.builder.ins().select(condition, first, second);
                self.push(value);
            }
            Operator::Nop => {}
            _ => return false,
        }
        true
    }

    fn global_get(&mut self, index: u32) {
        let global = &self.emit.environment.module.sections.globals[index as usize];
        let value_type = type_of(global.value_type);
        let value = if global.mutable {
            let (data, flags) = (self.emit.data(), self.emit.state_flags());
            self.emit.builder.ins().load(value_type, flags, data, StateLayout::global(index).cast_signed())
        } else {
            match value_type {
                F32 => self.emit.builder.ins().f32const(Ieee32::with_bits(global.value as u32)),
                F64 => self.emit.builder.ins().f64const(Ieee64::with_bits(global.value)),
                _ => self.emit.builder.ins().iconst(value_type, global.value.cast_signed()),
            }
        };
        self.push(value);
    }
}
