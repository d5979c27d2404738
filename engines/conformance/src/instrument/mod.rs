//! The module that is compiled for a test: the test's, and a function `run` that makes calls of its exports.
//!
//! A blob has one function to run, without arguments, and its memory is the test's. So the [cases](crate::case) become functions of
//! the module, which call an export and compare what it returns; `run` calls those that are to return, in order, and returns the
//! number of the first that does not hold, counted from 1, or 0. A trap ends an instance: that of case *n* is reached by an input
//! of *n* + 1 bytes, after all that comes before it.
//!
//! ```text
//! read.rs       the test's module, read section by section
//! imports.rs    what a test imports from `spectest`, as a part of the module
//! run.rs        the function `run`, and those of the cases
//! ```

mod imports;
mod read;
mod run;

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use bareflow_abi::header::{Header, MAGIC};
use bareflow_portable::description::{SECTION, name_field};
use wasm_encoder::{
    CodeSection, CustomSection, DataSection, ElementSection, ExportKind, ExportSection, FunctionSection, GlobalSection,
    ImportSection, MemorySection, Module, StartSection, TableSection, TypeSection,
};
use wasmparser::{FuncType, Parser, ValType};

use crate::case::Case;
use read::Renumber;
pub use run::RETURNED;

/// The name of all modules that are tested.
pub const NAME: &str = "test";

/// The target of an exported name.
#[derive(Clone, Copy)]
enum Target {
    Function(u32),
    Global(u32),
}

/// The module, as it is read.
#[derive(Default)]
struct Parts {
    types: TypeSection,
    function_types: Vec<FuncType>,
    signatures: Vec<u32>,
    imported_functions: Vec<u32>,
    imported_globals: Vec<(ValType, u64)>,
    global_types: Vec<wasmparser::GlobalType>,
    functions: Vec<u32>,
    tables: TableSection,
    memories: MemorySection,
    globals: GlobalSection,
    targets: BTreeMap<String, Target>,
    start: Option<u32>,
    elements: ElementSection,
    data_count: Option<u32>,
    code: CodeSection,
    data: DataSection,
    has_state: bool,
}

/// Adds the cases to a valid module.
///
/// # Errors
/// The reason for which it can't be run: an import, or a case that does not fit the module.
pub fn instrument(wasm: &[u8], cases: &[Case]) -> Result<Vec<u8>> {
    let mut parts = Parts::default();
    let mut renumber = Renumber(Vec::new());
    for payload in Parser::new(0).parse_all(wasm) {
        parts.read(payload?, &mut renumber)?;
    }
    parts.finish(cases)
}

impl Parts {
    fn finish(mut self, cases: &[Case]) -> Result<Vec<u8>> {
        if self.code.is_empty() {
            self.add_imported_bodies();
        }
        let run_type = self.types.len();
        self.types.ty().function([], [wasm_encoder::ValType::I32]);
        // What was exported could be referred to.
        let functions = self.targets.values().filter_map(|target| match target {
            Target::Function(function) => Some(function + 1),
            Target::Global(_) => None,
        });
        let functions: Vec<u32> = functions.collect();
        self.elements.declared(wasm_encoder::Elements::Functions(functions.into()));
        let first_case = self.signatures.len() as u32 + 1;
        for case in cases {
            let body = self.case(case).map_err(|error| anyhow!("{}: {error:#}", case.place))?;
            self.code.function(&body);
        }
        self.code.function(&run::run(cases, first_case, self.has_state));
        let mut functions = FunctionSection::new();
        let added = core::iter::repeat_n(&run_type, cases.len() + 1);
        for signature in self.imported_functions.iter().chain(&self.functions).chain(added) {
            functions.function(*signature);
        }
        let mut imports = ImportSection::new();
        imports.import("bareflow", "input_length", wasm_encoder::EntityType::Function(run_type));
        let mut exported = ExportSection::new();
        exported.export("run", ExportKind::Func, first_case + cases.len() as u32);
        let mut module = Module::new();
        module.section(&self.types).section(&imports).section(&functions).section(&self.tables);
        module.section(&self.memories).section(&self.globals).section(&exported);
        if let Some(function_index) = self.start {
            module.section(&StartSection { function_index });
        }
        module.section(&self.elements);
        if let Some(count) = self.data_count {
            module.section(&wasm_encoder::DataCountSection { count });
        }
        module.section(&self.code).section(&self.data).section(&description());
        Ok(module.finish())
    }

    /// Returns the types of what an export takes and returns.
    fn types_of(&self, target: Target) -> (Vec<ValType>, Vec<ValType>) {
        match target {
            Target::Function(function) => {
                let signature = &self.function_types[self.signatures[function as usize] as usize];
                (signature.params().to_vec(), signature.results().to_vec())
            }
            Target::Global(global) => (Vec::new(), vec![self.global_types[global as usize].content_type]),
        }
    }
}

/// Returns the section with the budgets of all tests: a stack of 1 MiB.
fn description() -> CustomSection<'static> {
    let header = Header {
        magic: MAGIC,
        name: name_field(NAME).unwrap_or_default(),
        version_major: 1,
        stack_size: 1 << 20,
        time_us: 60_000_000,
        ..Header::default()
    };
    CustomSection { name: SECTION.into(), data: header.to_bytes().to_vec().into() }
}
