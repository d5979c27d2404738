//! The module that is compiled for a test: the test's, and a function `run` that calls its exports.
//!
//! A blob has one function to run, without arguments. So `run` reads a number from the import `clock`, whose values the
//! harness supplies: that of a function and then its arguments, or that of a result, which the last call left in globals
//! of the dispatcher's own. That takes no memory, which is the test's. What the specification's tests import from `spectest`
//! becomes part of the module.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use bareflow_abi::header::{Header, MAGIC};
use bareflow_portable::description::{SECTION, name_field};
use wasm_encoder::reencode::{self, Reencode, RoundtripReencoder};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, CustomSection, DataSection, ElementSection, ExportKind, ExportSection, Function,
    FunctionSection, GlobalSection, GlobalType, ImportSection, Instruction, MemorySection, Module, RefType,
    StartSection, TableSection, TypeSection,
};
use wasmparser::{ExternalKind, FuncType, Operator, Parser, Payload, TypeRef, ValType};

/// An exported function or global.
#[derive(Clone, Debug)]
pub struct Export {
    /// The number that calls or reads it.
    pub number: u32,
    /// The types of the arguments.
    pub parameters: Vec<ValType>,
    /// The types of the results.
    pub results: Vec<ValType>,
}

/// A module with a dispatcher.
pub struct Dispatched {
    /// The bytes.
    pub wasm: Vec<u8>,
    /// The exports, by name.
    pub exports: BTreeMap<String, Export>,
    /// The number that reads the lower half of the first result; that of the upper half follows.
    pub results: u32,
    /// Whether a call can leave anything behind.
    pub has_state: bool,
}

/// The target of an exported name.
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
    targets: Vec<(String, Target)>,
    start: Option<u32>,
    elements: ElementSection,
    data_count: Option<u32>,
    code: CodeSection,
    data: DataSection,
    has_state: bool,
}

/// The numbers of functions: one more each, since the first is now the import `clock`. The values of imported globals take
/// the globals' places in constant expressions.
struct Renumber(Vec<(ValType, u64)>);

impl Reencode for Renumber {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, number: u32) -> Result<u32, reencode::Error<Self::Error>> {
        Ok(number + 1)
    }

    fn const_expr(&mut self, expression: wasmparser::ConstExpr<'_>) -> Result<ConstExpr, reencode::Error<Self::Error>> {
        if let Ok(Operator::GlobalGet { global_index }) = expression.get_operators_reader().read()
            && let Some((value_type, value)) = self.0.get(global_index as usize)
        {
            return Ok(constant(*value_type, *value));
        }
        reencode::utils::const_expr(self, expression)
    }
}

fn constant(value_type: ValType, value: u64) -> ConstExpr {
    match value_type {
        ValType::I64 => ConstExpr::i64_const(value.cast_signed()),
        ValType::F32 => ConstExpr::f32_const(f32::from_bits(value as u32).into()),
        ValType::F64 => ConstExpr::f64_const(f64::from_bits(value).into()),
        _ => ConstExpr::i32_const((value as u32).cast_signed()),
    }
}

/// Adds a dispatcher to a valid module. `name` is that of the blob.
pub fn dispatch(wasm: &[u8], name: &str) -> Result<Dispatched> {
    let mut parts = Parts::default();
    let mut renumber = Renumber(Vec::new());
    for payload in Parser::new(0).parse_all(wasm) {
        parts.read(payload?, &mut renumber)?;
    }
    parts.finish(name)
}

impl Parts {
    fn read(&mut self, payload: Payload<'_>, renumber: &mut Renumber) -> Result<()> {
        match payload {
            Payload::TypeSection(section) => {
                for function in section.clone().into_iter_err_on_gc_types() {
                    self.function_types.push(function?);
                }
                renumber.parse_type_section(&mut self.types, section)?;
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    self.import(&import?)?;
                }
                renumber.0.clone_from(&self.imported_globals);
                self.signatures.clone_from(&self.imported_functions);
            }
            Payload::FunctionSection(section) => {
                for signature in section {
                    self.functions.push(signature?);
                }
                self.signatures.extend(&self.functions);
            }
            Payload::TableSection(section) => renumber.parse_table_section(&mut self.tables, section)?,
            Payload::MemorySection(section) => {
                self.has_state = true;
                renumber.parse_memory_section(&mut self.memories, section)?;
            }
            Payload::GlobalSection(section) => {
                for global in section.clone() {
                    let global = global?.ty;
                    self.has_state |= global.mutable;
                    self.global_types.push(global);
                }
                renumber.parse_global_section(&mut self.globals, section)?;
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    let target = match export.kind {
                        ExternalKind::Func => Target::Function(export.index),
                        ExternalKind::Global => Target::Global(export.index),
                        _ => continue,
                    };
                    self.targets.push((export.name.into(), target));
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(func + 1),
            Payload::ElementSection(section) => renumber.parse_element_section(&mut self.elements, section)?,
            Payload::DataCountSection { count, .. } => self.data_count = Some(count),
            Payload::DataSection(section) => renumber.parse_data_section(&mut self.data, section)?,
            Payload::CodeSectionEntry(body) => {
                if self.code.is_empty() {
                    self.add_imported_bodies();
                }
                renumber.parse_function_body(&mut self.code, body)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Makes what a test imports from `spectest` part of the module.
    fn import(&mut self, import: &wasmparser::Import<'_>) -> Result<()> {
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

    fn add_imported_bodies(&mut self) {
        for signature in &self.imported_functions {
            let mut body = Function::new([]);
            for result in self.function_types[*signature as usize].results() {
                body.instruction(&zero(*result));
            }
            body.instruction(&Instruction::End);
            self.code.function(&body);
        }
    }

    fn finish(mut self, name: &str) -> Result<Dispatched> {
        if self.code.is_empty() {
            self.add_imported_bodies();
        }
        let (clock_type, run_type) = (self.types.len(), self.types.len() + 1);
        self.types.ty().function([], [wasm_encoder::ValType::I64]);
        self.types.ty().function([], [wasm_encoder::ValType::I32]);
        let first_result = self.globals.len();
        let targets = std::mem::take(&mut self.targets);
        let (mut exports, mut most) = (BTreeMap::new(), 0);
        for (number, (name, target)) in (0..).zip(&targets) {
            let (parameters, results) = match target {
                Target::Function(function) => {
                    let signature = &self.function_types[self.signatures[*function as usize] as usize];
                    (signature.params().to_vec(), signature.results().to_vec())
                }
                Target::Global(global) => (Vec::new(), vec![self.global_types[*global as usize].content_type]),
            };
            most = most.max(results.len() as u32);
            exports.insert(name.clone(), Export { number, parameters, results });
        }
        for _ in 0..most {
            let result = GlobalType { val_type: wasm_encoder::ValType::I64, mutable: true, shared: false };
            self.globals.global(result, &ConstExpr::i64_const(0));
        }
        // What was exported could be referred to.
        let functions = targets.iter().filter_map(|target| match target.1 {
            Target::Function(function) => Some(function + 1),
            Target::Global(_) => None,
        });
        let functions: Vec<u32> = functions.collect();
        self.elements.declared(wasm_encoder::Elements::Functions(functions.into()));
        let run = self.signatures.len() as u32 + 1;
        let body = self.run(&targets, &exports, first_result, most)?;
        self.code.function(&body);
        let mut functions = FunctionSection::new();
        for signature in self.imported_functions.iter().chain(&self.functions).chain([&run_type]) {
            functions.function(*signature);
        }
        let mut imports = ImportSection::new();
        imports.import("bareflow", "clock", wasm_encoder::EntityType::Function(clock_type));
        let mut exported = ExportSection::new();
        exported.export("run", ExportKind::Func, run);
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
        module.section(&self.code).section(&self.data).section(&description(name));
        let results = exports.len().max(targets.len()) as u32;
        Ok(Dispatched { wasm: module.finish(), exports, results, has_state: self.has_state || self.start.is_some() })
    }

    /// Returns the body of `run`: a `br_table` over the exports, and two numbers for each result.
    fn run(
        &self,
        targets: &[(String, Target)],
        exports: &BTreeMap<String, Export>,
        first_result: u32,
        most: u32,
    ) -> Result<Function> {
        let count = targets.len() as u32 + 2 * most;
        // Results pass through locals, from the last to the first.
        let mut locals: Vec<(u32, wasm_encoder::ValType)> = Vec::new();
        let mut places = Vec::new();
        for (name, _) in targets {
            places.push(locals.len() as u32);
            for result in &exports[name].results {
                locals.push((1, RoundtripReencoder.val_type(*result)?));
            }
        }
        let mut body = Function::new(locals);
        for _ in 0..=count {
            body.instruction(&Instruction::Block(BlockType::Empty));
        }
        body.instruction(&Instruction::Call(0)).instruction(&Instruction::I32WrapI64);
        let labels: Vec<u32> = (0..count).collect();
        body.instruction(&Instruction::BrTable(labels.into(), count));
        for ((name, target), place) in targets.iter().zip(places) {
            body.instruction(&Instruction::End);
            let export = &exports[name];
            for parameter in &export.parameters {
                read_argument(&mut body, *parameter);
            }
            body.instruction(&match target {
                Target::Function(function) => Instruction::Call(function + 1),
                Target::Global(global) => Instruction::GlobalGet(*global),
            });
            for index in (0..export.results.len() as u32).rev() {
                body.instruction(&Instruction::LocalSet(place + index));
            }
            for (index, result) in (0..).zip(&export.results) {
                body.instruction(&Instruction::LocalGet(place + index));
                for instruction in to_bits(*result) {
                    body.instruction(instruction);
                }
                body.instruction(&Instruction::GlobalSet(first_result + index));
            }
            body.instruction(&Instruction::I32Const(0)).instruction(&Instruction::Return);
        }
        for result in 0..most {
            for shift in [0, 32] {
                body.instruction(&Instruction::End);
                body.instruction(&Instruction::GlobalGet(first_result + result));
                body.instruction(&Instruction::I64Const(shift)).instruction(&Instruction::I64ShrU);
                body.instruction(&Instruction::I32WrapI64).instruction(&Instruction::Return);
            }
        }
        body.instruction(&Instruction::End).instruction(&Instruction::Unreachable).instruction(&Instruction::End);
        Ok(body)
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

fn read_argument(body: &mut Function, value_type: ValType) {
    if let ValType::Ref(reference) = value_type {
        let kind = if reference.is_func_ref() { wasm_encoder::HeapType::FUNC } else { wasm_encoder::HeapType::EXTERN };
        body.instruction(&Instruction::RefNull(kind));
        body.instruction(&Instruction::Call(0)).instruction(&Instruction::Drop);
        return;
    }
    body.instruction(&Instruction::Call(0));
    let instructions: &[_] = match value_type {
        ValType::I32 => &[Instruction::I32WrapI64],
        ValType::F32 => &[Instruction::I32WrapI64, Instruction::F32ReinterpretI32],
        ValType::F64 => &[Instruction::F64ReinterpretI64],
        _ => &[],
    };
    for instruction in instructions {
        body.instruction(instruction);
    }
}

fn to_bits(value_type: ValType) -> &'static [Instruction<'static>] {
    match value_type {
        ValType::I32 => &[Instruction::I64ExtendI32U],
        ValType::F32 => &[Instruction::I32ReinterpretF32, Instruction::I64ExtendI32U],
        ValType::F64 => &[Instruction::I64ReinterpretF64],
        ValType::Ref(_) => &[Instruction::RefIsNull, Instruction::I64ExtendI32U],
        _ => &[],
    }
}

/// Returns the section with the budgets of all tests: a stack of 1 MiB.
fn description(name: &str) -> CustomSection<'static> {
    let header = Header {
        magic: MAGIC,
        name: name_field(name).unwrap_or_default(),
        version_major: 1,
        stack_size: 1 << 20,
        time_us: 60_000_000,
        ..Header::default()
    };
    CustomSection { name: SECTION.into(), data: header.to_bytes().to_vec().into() }
}
