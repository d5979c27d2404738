//! The function `run`, and those of the cases.

use anyhow::{Context, Result, ensure};
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{BlockType, Function, HeapType, Instruction};
use wasmparser::ValType;

use super::{Parts, Target};
use crate::case::{Case, End, Pattern};

/// The result of a case that was to trap, and returned.
pub const RETURNED: i32 = -1;

/// Returns the body of `run`. `first` is the number of the first case's function.
///
/// Without a state, the case that is to trap is called alone.
pub(super) fn run(cases: &[Case], first: u32, has_state: bool) -> Function {
    let mut body = Function::new([(1, wasm_encoder::ValType::I32)]);
    body.instruction(&Instruction::Call(0)).instruction(&Instruction::LocalSet(0));
    for (index, case) in (0_i32..).zip(cases) {
        let number = index + 1;
        let call = Instruction::Call(first + index.cast_unsigned());
        if case.returns() {
            if !has_state {
                body.instruction(&Instruction::LocalGet(0)).instruction(&Instruction::I32Eqz);
                body.instruction(&Instruction::If(BlockType::Empty));
            }
            body.instruction(&call).instruction(&Instruction::I32Eqz);
            return_if(&mut body, number);
            if !has_state {
                body.instruction(&Instruction::End);
            }
        } else {
            body.instruction(&Instruction::LocalGet(0)).instruction(&Instruction::I32Const(number));
            body.instruction(&Instruction::I32Eq).instruction(&Instruction::If(BlockType::Empty));
            body.instruction(&call).instruction(&Instruction::Drop);
            body.instruction(&Instruction::I32Const(RETURNED)).instruction(&Instruction::Return);
            body.instruction(&Instruction::End);
        }
    }
    body.instruction(&Instruction::I32Const(0)).instruction(&Instruction::End);
    body
}

fn return_if(body: &mut Function, number: i32) {
    body.instruction(&Instruction::If(BlockType::Empty));
    body.instruction(&Instruction::I32Const(number)).instruction(&Instruction::Return);
    body.instruction(&Instruction::End);
}

impl Parts {
    /// Returns the body of a case's function, which returns 1 if the case holds, and else 0.
    pub(super) fn case(&self, case: &Case) -> Result<Function> {
        let export = &case.export;
        let target = *self.targets.get(export).with_context(|| format!("there is no export {export:?}"))?;
        let (parameters, results) = self.types_of(target);
        let (found, expected) = (case.arguments.len(), parameters.len());
        ensure!(found == expected, "{export:?} takes {expected} arguments, found {found}");
        let mut locals = Vec::new();
        for result in &results {
            locals.push((1, RoundtripReencoder.val_type(*result)?));
        }
        let mut body = Function::new(locals);
        for (bits, parameter) in case.arguments.iter().zip(&parameters) {
            body.instruction(&value(*bits, *parameter));
        }
        body.instruction(&match target {
            Target::Function(function) => Instruction::Call(function + 1),
            Target::Global(global) => Instruction::GlobalGet(global),
        });
        for index in (0..results.len() as u32).rev() {
            body.instruction(&Instruction::LocalSet(index));
        }
        body.instruction(&Instruction::I32Const(1));
        if let End::ReturnsThese(patterns) = &case.end {
            let (found, expected) = (results.len(), patterns.len());
            ensure!(found == expected, "{export:?} has {found} results, expected {expected}");
            for ((index, result), pattern) in (0..).zip(&results).zip(patterns) {
                ensure!(pattern.fits(*result), "{export:?} has a result of type {result}, expected {pattern:?}");
                body.instruction(&Instruction::LocalGet(index));
                compare(&mut body, *result, pattern);
            }
        }
        body.instruction(&Instruction::End);
        Ok(body)
    }
}

/// Returns the constant with these bits.
fn value(bits: u64, value_type: ValType) -> Instruction<'static> {
    match value_type {
        ValType::I64 => Instruction::I64Const(bits.cast_signed()),
        ValType::F32 => Instruction::F32Const(f32::from_bits(bits as u32).into()),
        ValType::F64 => Instruction::F64Const(f64::from_bits(bits).into()),
        ValType::Ref(reference) if reference.is_func_ref() => Instruction::RefNull(HeapType::FUNC),
        ValType::Ref(_) => Instruction::RefNull(HeapType::EXTERN),
        _ => Instruction::I32Const((bits as u32).cast_signed()),
    }
}

/// Compares the value on the stack with a pattern, and the outcome with that below.
fn compare(body: &mut Function, value_type: ValType, pattern: &Pattern) {
    let to_bits: &[_] = match value_type {
        ValType::I32 => &[Instruction::I64ExtendI32U],
        ValType::F32 => &[Instruction::I32ReinterpretF32, Instruction::I64ExtendI32U],
        ValType::F64 => &[Instruction::I64ReinterpretF64],
        ValType::Ref(_) => &[Instruction::RefIsNull, Instruction::I64ExtendI32U],
        _ => &[],
    };
    for instruction in to_bits {
        body.instruction(instruction);
    }
    body.instruction(&Instruction::I64Const(pattern.mask.cast_signed())).instruction(&Instruction::I64And);
    body.instruction(&Instruction::I64Const(pattern.value.cast_signed())).instruction(&Instruction::I64Eq);
    body.instruction(&Instruction::I32And);
}
