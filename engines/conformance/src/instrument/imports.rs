//! The imports of the specification's tests from `spectest`, as parts of the module.

use anyhow::{Result, bail};
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{ConstExpr, Function, GlobalType, Instruction, RefType};
use wasmparser::{TypeRef, ValType};

use super::Parts;

pub(super) fn constant(value_type: ValType, value: u64) -> ConstExpr {
    match value_type {
        ValType::I64 => ConstExpr::i64_const(value.cast_signed()),
        ValType::F32 => ConstExpr::f32_const(f32::from_bits(value as u32).into()),
        ValType::F64 => ConstExpr::f64_const(f64::from_bits(value).into()),
        _ => ConstExpr::i32_const((value as u32).cast_signed()),
    }
}

impl Parts {
    /// Makes what a test imports from `spectest` part of the module.
    pub(super) fn import(&mut self, import: &wasmparser::Import<'_>) -> Result<()> {
        let is_known = import.module == "spectest";
        match import.ty {
            TypeRef::Func(signature) if is_known && import.name.starts_with("print") => {
                self.imported_functions.push(signature);
            }
            TypeRef::Global(global) if is_known && import.name.starts_with("global_") => {
                let value = match global.content_type {
                    ValType::F32 => u64::from(666.6_f32.to_bits()),
                    ValType::F64 => 666.6_f64.to_bits(),
                    _ => 666,
                };
                let value_type = RoundtripReencoder.val_type(global.content_type)?;
                self.globals.global(
                    GlobalType { val_type: value_type, mutable: false, shared: false },
                    &constant(global.content_type, value),
                );
                self.global_types.push(global);
                self.imported_globals.push((global.content_type, value));
            }
            TypeRef::Table(_) if is_known && import.name == "table" => {
                self.tables.table(wasm_encoder::TableType {
                    element_type: RefType::FUNCREF,
                    table64: false,
                    minimum: 10,
                    maximum: Some(20),
                    shared: false,
                });
            }
            TypeRef::Memory(_) if is_known && import.name == "memory" => {
                self.has_state = true;
                self.memories.memory(wasm_encoder::MemoryType {
                    minimum: 1,
                    maximum: Some(2),
                    memory64: false,
                    shared: false,
                    page_size_log2: None,
                });
            }
            _ => bail!("it imports {:?} from {:?}", import.name, import.module),
        }
        Ok(())
    }

    /// Adds the bodies of imported functions, which come before all others.
    pub(super) fn add_imported_bodies(&mut self) {
        for signature in &self.imported_functions {
            let mut body = Function::new([]);
            for result in self.function_types[*signature as usize].results() {
                body.instruction(&zero(*result));
            }
            body.instruction(&Instruction::End);
            self.code.function(&body);
        }
    }
}

fn zero(value_type: ValType) -> Instruction<'static> {
    match value_type {
        ValType::I64 => Instruction::I64Const(0),
        ValType::F32 => Instruction::F32Const(0.0.into()),
        ValType::F64 => Instruction::F64Const(0.0.into()),
        _ => Instruction::I32Const(0),
    }
}
