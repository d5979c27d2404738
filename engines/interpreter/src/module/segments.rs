//! The segments of elements and data.

use alloc::format;
use alloc::vec::Vec;
use core::ops::Range;

use wasmparser::{ConstExpr, DataKind, ElementItems, ElementKind, Operator};

use crate::refusal::Refusal;

/// An element segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elements {
    /// A segment that is copied to a table when the instance is made: elements as in an instance.
    Active { table: u32, offset: u32, elements: Vec<u32>, of_functions: bool },
    /// A segment for the module's code, until that drops it.
    Passive { range: Range<usize>, count: u32, of_functions: bool },
    /// A segment that only says which functions the code refers to.
    Declared { range: Range<usize> },
}

/// A data segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data<'wasm> {
    /// A segment that is copied to the memory when the instance is made.
    Active { address: u32, bytes: &'wasm [u8] },
    /// A segment for the module's code, until that drops it.
    Passive { range: Range<usize>, bytes: &'wasm [u8] },
}

impl Elements {
    /// Reads a segment. Returns the functions that it refers to, too.
    pub(super) fn read(segment: wasmparser::Element<'_>) -> Result<(Elements, Vec<u32>), Refusal> {
        let mut elements = Vec::new();
        let of_functions = match &segment.items {
            ElementItems::Functions(functions) => {
                for function in functions.clone() {
                    elements.push(function? + 1);
                }
                true
            }
            ElementItems::Expressions(kind, items) => {
                for item in items.clone() {
                    elements.push(element_of(&item?)?);
                }
                kind.is_func_ref()
            }
        };
        let functions = elements.iter().filter_map(|element| element.checked_sub(1)).collect();
        let segment = match segment.kind {
            ElementKind::Active { table_index, offset_expr } => {
                let (table, offset) = (table_index.unwrap_or(0), offset_of(&offset_expr)?);
                Elements::Active { table, offset, elements, of_functions }
            }
            ElementKind::Passive => {
                Elements::Passive { range: segment.range, count: elements.len() as u32, of_functions }
            }
            ElementKind::Declared => Elements::Declared { range: segment.range },
        };
        Ok((segment, functions))
    }
}

impl<'wasm> Data<'wasm> {
    /// Reads a segment.
    pub(super) fn read(segment: wasmparser::Data<'wasm>) -> Result<Data<'wasm>, Refusal> {
        Ok(match segment.kind {
            DataKind::Active { offset_expr, .. } => {
                Data::Active { address: offset_of(&offset_expr)?, bytes: segment.data }
            }
            DataKind::Passive => Data::Passive { range: segment.range, bytes: segment.data },
        })
    }
}

/// Returns the offset of an active segment, which is a constant: there is no global that it could be.
fn offset_of(expression: &ConstExpr<'_>) -> Result<u32, Refusal> {
    match expression.get_operators_reader().read()? {
        Operator::I32Const { value } => Ok(value as u32),
        other => Err(Refusal::unsupported(format!("the offset of a segment is {other:?}, expected a constant"))),
    }
}

/// Returns the element that a constant expression is; 0 for null, and for what is no reference.
pub(super) fn element_of(expression: &ConstExpr<'_>) -> Result<u32, Refusal> {
    match expression.get_operators_reader().read()? {
        Operator::RefFunc { function_index } => Ok(function_index + 1),
        _ => Ok(0),
    }
}
