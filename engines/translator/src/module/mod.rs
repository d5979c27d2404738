//! The module: its sections, and its functions' bodies, validated and within limits.
//!
//! ```text
//! bodies.rs       the functions' bodies, validated, and within limits
//! names.rs        the functions' names
//! ```

mod bodies;
mod names;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bareflow_portable::imports::Import;
use bareflow_portable::refusal::Refusal;
use bareflow_portable::sections::Sections;
use bareflow_portable::types::FEATURES;
use wasmparser::{FuncType, FunctionBody, KnownCustom, Parser, Payload, Validator};

/// A module.
#[derive(Default)]
pub(crate) struct Module<'wasm> {
    pub sections: Sections<'wasm>,
    /// For each type, the number of the first type that is equal to it.
    pub canonical_types: Vec<u32>,
    pub bodies: Vec<FunctionBody<'wasm>>,
    /// The functions' names, by number.
    pub names: Vec<(u32, &'wasm str)>,
    /// Whether an operator grows the memory.
    pub grows_memory: bool,
    /// For each table, whether an operator grows it.
    pub grows_table: Vec<bool>,
}

impl Module<'_> {
    /// Returns the type of a function of the module.
    pub fn type_of(&self, function: u32) -> &FuncType {
        &self.sections.types[self.sections.functions[function as usize] as usize]
    }

    /// Returns whether the module imports a function that reaches the arguments of its methods.
    pub fn reaches_arguments(&self) -> bool {
        self.sections.imports.iter().any(|import| matches!(import, Import::ArgumentRead | Import::ArgumentWrite))
    }
}

/// Parses and validates a module.
pub(crate) fn parse(wasm: &[u8]) -> Result<Module<'_>, Refusal> {
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
            return Err(Refusal::unsupported("the bytes are a component, expected a core module; build one"));
        }
        match &payload {
            Payload::CustomSection(custom) => {
                if let KnownCustom::Name(section) = custom.as_known() {
                    names::read(&mut module.names, section);
                }
            }
            // The bodies come after it.
            Payload::TableSection(tables) => module.grows_table.resize(tables.count() as usize, false),
            _ => {}
        }
        module.sections.read(payload)?;
    }
    module.canonical_types = canonical(&module.sections.types);
    Ok(module)
}

/// Returns for each type the number of the first type that is equal to it.
fn canonical(types: &[FuncType]) -> Vec<u32> {
    let mut numbers = BTreeMap::new();
    let number_of = |(number, function): (u32, &FuncType)| {
        *numbers.entry((function.params().to_vec(), function.results().to_vec())).or_insert(number)
    };
    (0..).zip(types).map(number_of).collect()
}
