//! The module: its sections, parsed and validated.
//!
//! ```text
//! sections.rs     types, index spaces, segments
//! constant.rs     the values of constant expressions
//! bodies.rs       the functions' bodies, validated, and within limits
//! ```

mod bodies;
mod constant;
mod sections;

use alloc::vec::Vec;

use bareflow_portable::imports::Import;
use bareflow_portable::types::FEATURES;
use wasmparser::{FuncType, FunctionBody, Parser, Payload, ValType, Validator};

use crate::error::Error;

/// A module.
#[derive(Default)]
pub(crate) struct Module<'wasm> {
    pub types: Vec<FuncType>,
    /// For each type, the number of the first type that is equal to it.
    pub canonical_types: Vec<u32>,
    /// The imported functions, which are the first of `functions`.
    pub imports: Vec<Import>,
    /// The number of each function's type.
    pub functions: Vec<u32>,
    pub tables: Vec<Table>,
    pub memory: Option<Memory>,
    pub globals: Vec<Global>,
    pub exports: Vec<(&'wasm str, u32)>,
    pub start: Option<u32>,
    pub elements: Vec<Elements>,
    pub data: Vec<Data<'wasm>>,
    pub bodies: Vec<FunctionBody<'wasm>>,
    /// The functions' names, by number.
    pub names: Vec<(u32, &'wasm str)>,
    /// The custom section `bareflow.module`.
    pub description: Option<&'wasm [u8]>,
    /// Whether an operator grows the memory.
    pub grows_memory: bool,
}

pub(crate) struct Table {
    pub initial: u64,
    pub maximum: Option<u64>,
    pub holds_functions: bool,
    /// Whether an operator grows it.
    pub grows: bool,
}

pub(crate) struct Memory {
    pub initial_pages: u64,
    pub maximum_pages: Option<u64>,
}

pub(crate) struct Global {
    pub value_type: ValType,
    pub mutable: bool,
    /// The initial value's bits.
    pub value: u64,
}

/// Where a segment goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// To this offset of the memory, or of the table with this number.
    Active { table: u32, offset: u32 },
    /// To where operators copy it.
    Passive,
    /// Nowhere: it only declares references.
    Declared,
}

/// A segment of elements: numbers of functions plus one, or 0 for null.
pub(crate) struct Elements {
    pub placement: Placement,
    pub items: Vec<u32>,
}

pub(crate) struct Data<'wasm> {
    pub placement: Placement,
    pub bytes: &'wasm [u8],
}

impl Module<'_> {
    pub fn type_of(&self, function: u32) -> &FuncType {
        &self.types[self.functions[function as usize] as usize]
    }

    /// Returns the number of an exported function.
    pub fn exported(&self, name: &str) -> Option<u32> {
        self.exports.iter().find(|export| export.0 == name).map(|export| export.1)
    }

    /// Returns whether the module imports a function that reaches the arguments of its methods.
    pub fn reaches_arguments(&self) -> bool {
        self.imports.iter().any(|import| matches!(import, Import::ArgumentRead | Import::ArgumentWrite))
    }

    /// Returns the number of functions, imports included.
    pub fn function_count(&self) -> u32 {
        self.functions.len() as u32
    }
}

/// Parses and validates a module.
pub(crate) fn parse(wasm: &[u8]) -> Result<Module<'_>, Error> {
    let mut module = Module::default();
    let mut validator = Validator::new_with_features(FEATURES);
    let mut allocations = wasmparser::FuncValidatorAllocations::default();
    let mut parser = Parser::new(0);
    parser.set_features(FEATURES);
    for payload in parser.parse_all(wasm) {
        let payload = payload?;
        if let wasmparser::ValidPayload::Func(function, body) = validator.payload(&payload)? {
            let mut function = function.into_validator(allocations);
            bodies::validate(&mut function, &body, &mut module)?;
            allocations = function.into_allocations();
            module.bodies.push(body);
            continue;
        }
        if let Payload::Version { encoding: wasmparser::Encoding::Component, .. } = payload {
            return Err(Error::unsupported("the bytes are a component, expected a core module; build one"));
        }
        sections::read(&mut module, payload)?;
    }
    Ok(module)
}
