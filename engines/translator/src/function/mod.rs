//! A function of the module: its operators, in Cranelift's terms.
//!
//! ```text
//! frame.rs        the operators that are open: blocks, loops, conditions
//! control.rs      branches, and what can't be reached
//! variable.rs     locals, globals, operands
//! numeric.rs      constants, arithmetic, comparisons, conversions
//! access.rs       loads and stores
//! bounds.rs       the checks that keep an access within memory
//! memory.rs       the memory's length, operations on many bytes
//! table.rs        tables, references
//! segment.rs      passive segments
//! call.rs         direct and indirect calls
//! ```

mod access;
mod bounds;
mod call;
mod control;
mod frame;
mod memory;
mod numeric;
mod segment;
mod table;
mod variable;

use alloc::format;
use alloc::vec::Vec;

use bareflow_portable::refusal::Refusal;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::Variable;
use wasmparser::{FunctionBody, Operator};

use crate::emitter::Emitter;
use frame::Frame;

/// The most values of a function. A value takes some 300 bytes until the function is compiled.
const MAX_VALUES: usize = 300_000;

/// The translation of a function's body.
pub(crate) struct Translator<'module, 'function> {
    emit: Emitter<'module, 'function>,
    operands: Vec<Value>,
    frames: Vec<Frame>,
    locals: Vec<Variable>,
    is_reachable: bool,
}

/// Translates the body of the function with this number.
pub(crate) fn translate<'module, 'function>(
    emit: Emitter<'module, 'function>,
    number: u32,
    body: &FunctionBody<'_>,
) -> Result<Emitter<'module, 'function>, Refusal> {
    let (operands, frames, locals) = (Vec::new(), Vec::new(), Vec::new());
    let mut translator = Translator { emit, operands, frames, locals, is_reachable: true };
    translator.declare_locals(number, body)?;
    translator.enter_function(number);
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        let operator = operators.read()?;
        translator.operator(&operator)?;
        let values = translator.emit.builder.func.dfg.num_values();
        if values > MAX_VALUES {
            return Err(Refusal::too_large(format!(
                "function {number} has more than {MAX_VALUES} values in its blocks; split the function, or give it fewer \
                 locals"
            )));
        }
    }
    Ok(translator.emit)
}

impl Translator<'_, '_> {
    fn operator(&mut self, operator: &Operator<'_>) -> Result<(), Refusal> {
        if !self.is_reachable {
            self.skip(operator);
            return Ok(());
        }
        let known = self.variable(operator)
            || self.numeric(operator)
            || self.access(operator)
            || self.control(operator)
            || self.call(operator)
            || self.memory_operator(operator)
            || self.table(operator)
            || self.segment(operator);
        if known { Ok(()) } else { Err(Refusal::unsupported(format!("the operator {operator:?} is not supported"))) }
    }

    fn push(&mut self, value: Value) {
        self.operands.push(value);
    }

    /// Takes the topmost operand.
    fn pop(&mut self) -> Value {
        // The validator made sure that there is one.
        self.operands.pop().unwrap_or(Value::from_u32(0))
    }

    /// Takes the topmost operands, of which the last is on top.
    fn pop_array<const COUNT: usize>(&mut self) -> [Value; COUNT] {
        let mut values = [Value::from_u32(0); COUNT];
        for value in values.iter_mut().rev() {
            *value = self.pop();
        }
        values
    }

    /// Takes the topmost `count` operands.
    fn pop_many(&mut self, count: usize) -> Vec<Value> {
        let first = self.operands.len() - count;
        self.operands.split_off(first)
    }

    fn constant(&mut self, value: u32) -> Value {
        self.emit.builder.ins().iconst(cranelift_codegen::ir::types::I32, i64::from(value))
    }
}
