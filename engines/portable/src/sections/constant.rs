//! The values of constant expressions.

use wasmparser::{ConstExpr, Operator};

use super::Global;
use crate::refusal::Refusal;

/// Returns the bits of a constant; a reference to a function is its number plus one.
pub(super) fn value(expression: &ConstExpr<'_>, globals: &[Global]) -> Result<u64, Refusal> {
    let mut reader = expression.get_operators_reader();
    let value = match reader.read()? {
        Operator::I32Const { value } => u64::from(value.cast_unsigned()),
        Operator::I64Const { value } => value.cast_unsigned(),
        Operator::F32Const { value } => u64::from(value.bits()),
        Operator::F64Const { value } => value.bits(),
        Operator::RefNull { .. } => 0,
        Operator::RefFunc { function_index } => u64::from(function_index) + 1,
        Operator::GlobalGet { global_index } => {
            let global = globals.get(global_index as usize);
            global.ok_or_else(|| Refusal::invalid("a constant expression names a global that is not there"))?.value
        }
        other => {
            return Err(Refusal::unsupported(alloc::format!("a constant expression uses {other:?}; use a constant")));
        }
    };
    match reader.read()? {
        Operator::End => Ok(value),
        other => Err(Refusal::unsupported(alloc::format!("a constant expression uses {other:?}; use a constant"))),
    }
}
