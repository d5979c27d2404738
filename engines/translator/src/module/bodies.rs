//! The functions' bodies: validated, and within limits.
//!
//! Cranelift takes time and memory by the number of blocks, values and edges of a function, which a few bytes can make
//! many. The limits are far above what compilers emit, and below what takes hundreds of MiB.

use bareflow_portable::refusal::Refusal;
use wasmparser::{FuncValidator, FunctionBody, Operator, ValidatorResources};

use super::Module;

/// The largest body, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// The most locals, parameters included.
const MAX_LOCALS: u32 = 10_000;

/// The most blocks, loops, conditions and branches.
const MAX_BRANCHES: u32 = 100_000;

/// The most operators that are open at once.
const MAX_NESTING: u32 = 5_000;

/// The most operands on the stack.
const MAX_OPERANDS: u32 = 20_000;

/// The most targets of all `br_table` in a function, each counted with the values that it passes.
const MAX_TABLE_TARGETS: u64 = 50_000;

/// Validates a body, and notes which tables and memory grow.
pub(super) fn validate(
    validator: &mut FuncValidator<ValidatorResources>,
    body: &FunctionBody<'_>,
    module: &mut Module<'_>,
) -> Result<(), Refusal> {
    let number = validator.index();
    let too_large = |what: &str, found: u64, most: u64| {
        Refusal::too_large(alloc::format!(
            "function {number} has {found} {what}, of which at most {most} are compiled; split the function"
        ))
    };
    let check =
        |what: &str, found: u64, most: u64| if found > most { Err(too_large(what, found, most)) } else { Ok(()) };
    check("bytes", body.as_bytes().len() as u64, MAX_BODY_BYTES as u64)?;
    let mut reader = body.get_binary_reader();
    reader.set_features(super::FEATURES);
    validator.read_locals(&mut reader)?;
    check("locals", validator.len_locals().into(), MAX_LOCALS.into())?;
    let mut operators = wasmparser::OperatorsReader::new(reader);
    let (mut branches, mut targets) = (0, 0);
    while !operators.eof() {
        let (operator, offset) = operators.read_with_offset()?;
        validator.op(offset, &operator)?;
        match &operator {
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::Br { .. }
            | Operator::BrIf { .. } => {
                branches += 1;
                check("branches", branches, MAX_BRANCHES.into())?;
            }
            Operator::BrTable { targets: table } => {
                let values = u64::from(validator.operand_stack_height().min(1_000));
                targets += (u64::from(table.len()) + 1) * (1 + values / 8);
                check("targets of br_table", targets, MAX_TABLE_TARGETS)?;
            }
            Operator::MemoryGrow { .. } => module.grows_memory = true,
            Operator::TableGrow { table } => module.grows_table[*table as usize] = true,
            _ => {}
        }
        check("open blocks", validator.control_stack_height().into(), MAX_NESTING.into())?;
        check("operands at once", validator.operand_stack_height().into(), MAX_OPERANDS.into())?;
    }
    operators.finish()?;
    Ok(())
}
