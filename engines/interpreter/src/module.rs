//! A valid module, and all that the engine has to know of it.

use alloc::format;
use alloc::vec::Vec;
use core::ops::Range;

use bareflow_portable::description::{Description, SECTION};
use bareflow_portable::imports::{Import, MODULE, ValueType};
use bareflow_portable::state::TableLimits;
use wasmparser::{
    BinaryReader, BinaryReaderError, ConstExpr, DataKind, ElementItems, ElementKind, ExternalKind, FuncType, Operator,
    Parser, Payload, TypeRef, ValType, Validator, WasmFeatures,
};

use crate::refusal::Refusal;

/// The features that portable modules may use: WebAssembly 2.0 without SIMD.
const FEATURES: WasmFeatures = WasmFeatures::WASM2.difference(WasmFeatures::SIMD);

/// The most bytes of a module.
const MAX_BYTES: usize = 64 << 20;

/// The number of a section, as in the binary format.
pub mod section {
    #![allow(missing_docs, reason = "they are those of the specification")]
    pub const TYPE: u8 = 1;
    pub const FUNCTION: u8 = 3;
    pub const GLOBAL: u8 = 6;
    pub const CODE: u8 = 10;
    /// One more than the largest.
    pub const COUNT: usize = 14;
}

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Whether its elements are functions.
    pub of_functions: bool,
    /// The limits.
    pub limits: TableLimits,
}

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

/// The functions that a module's entry calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exports {
    /// `run`.
    pub run: Option<u32>,
    /// `init`.
    pub init: Option<u32>,
    /// `exit`.
    pub exit: Option<u32>,
    /// `bareflow_entry`, which all reasons go to.
    pub entry: Option<u32>,
}

/// A valid module.
#[derive(Debug, Default)]
pub struct Module<'wasm> {
    /// The bytes.
    pub wasm: &'wasm [u8],
    /// Where the contents of each section lie.
    sections: [Range<usize>; section::COUNT],
    /// The custom section `bareflow.module`.
    pub description: Option<Description<'wasm>>,
    /// The types of functions.
    pub types: Vec<FuncType>,
    /// For each function, the number of its type; imported ones first.
    pub functions: Vec<u32>,
    /// The size of the largest function's code, in bytes.
    pub largest: usize,
    /// The imported functions.
    pub imports: Vec<Import>,
    /// The tables.
    pub tables: Vec<Table>,
    /// The memory's pages: at first, and at most.
    pub memory: Option<(u64, Option<u64>)>,
    /// For each global, whether it is a reference to a function.
    pub globals: Vec<bool>,
    /// The functions for the entry.
    pub exports: Exports,
    /// The start function.
    pub start: Option<u32>,
    /// The element segments.
    pub elements: Vec<Elements>,
    /// The data segments.
    pub data: Vec<Data<'wasm>>,
    /// The functions that others can refer to, in ascending order.
    pub referable: Vec<u32>,
}

impl<'wasm> Module<'wasm> {
    /// Validates and reads a module.
    ///
    /// # Errors
    /// The reason for which it can't be interpreted.
    pub fn read(wasm: &'wasm [u8]) -> Result<Module<'wasm>, Refusal> {
        if wasm.len() > MAX_BYTES {
            return Err(Refusal::too_large(format!(
                "the module has {} bytes, expected at most {MAX_BYTES}",
                wasm.len()
            )));
        }
        if let Err(error) = Validator::new_with_features(FEATURES).validate_all(wasm) {
            let refuse = if is_of_a_feature(wasm, &error) { Refusal::unsupported } else { Refusal::invalid };
            return Err(refuse(format!("{error}")));
        }
        let mut module = Module { wasm, ..Module::default() };
        for payload in Parser::new(0).parse_all(wasm) {
            module.take(payload?)?;
        }
        module.referable.sort_unstable();
        module.referable.dedup();
        module.check_exports()?;
        Ok(module)
    }

    /// Returns the number of entries of a section, and their bytes.
    ///
    /// # Errors
    /// None for a valid module.
    pub fn entries(&self, section: u8) -> Result<(u32, &'wasm [u8]), Refusal> {
        let range = self.sections.get(usize::from(section)).cloned().unwrap_or_default();
        let bytes = self.wasm.get(range).unwrap_or_default();
        if bytes.is_empty() {
            return Ok((0, bytes));
        }
        let mut reader = BinaryReader::new(bytes, 0);
        let count = reader.read_var_u32()?;
        Ok((count, bytes.get(reader.current_position()..).unwrap_or_default()))
    }

    /// Returns the type of a function.
    fn function_type(&self, function: u32) -> Option<&FuncType> {
        self.types.get(*self.functions.get(function as usize)? as usize)
    }

    fn take(&mut self, payload: Payload<'wasm>) -> Result<(), Refusal> {
        if let Some((id, range)) = payload.as_section()
            && let Some(place) = self.sections.get_mut(usize::from(id))
        {
            *place = range;
        }
        match payload {
            Payload::TypeSection(types) => {
                for function in types.into_iter_err_on_gc_types() {
                    self.types.push(function?);
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    self.import(import?)?;
                }
            }
            Payload::FunctionSection(functions) => {
                for function in functions {
                    self.functions.push(function?);
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    let table = table?.ty;
                    self.tables.push(Table {
                        of_functions: table.element_type.is_func_ref(),
                        limits: TableLimits { initial: table.initial, maximum: table.maximum },
                    });
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    let memory = memory?;
                    self.memory = Some((memory.initial, memory.maximum));
                }
            }
            Payload::GlobalSection(globals) => {
                for global in globals {
                    let global = global?;
                    let is_function = |reference: wasmparser::RefType| reference.is_func_ref();
                    self.globals.push(global.ty.content_type.as_reference_type().is_some_and(is_function));
                    self.referable.extend(element_of(&global.init_expr)?.checked_sub(1));
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    if export.kind == ExternalKind::Func {
                        self.export(export.name, export.index);
                        self.referable.push(export.index);
                    }
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(func),
            Payload::ElementSection(segments) => {
                for segment in segments {
                    self.elements(segment?)?;
                }
            }
            Payload::CodeSectionEntry(body) => self.largest = self.largest.max(body.range().len()),
            Payload::DataSection(segments) => {
                for segment in segments {
                    let segment = segment?;
                    self.data.push(match segment.kind {
                        DataKind::Active { offset_expr, .. } => {
                            Data::Active { address: offset_of(&offset_expr)?, bytes: segment.data }
                        }
                        DataKind::Passive => Data::Passive { range: segment.range, bytes: segment.data },
                    });
                }
            }
            Payload::CustomSection(custom) if custom.name() == SECTION => {
                self.description = Some(Description::read(custom.data()).map_err(Refusal::invalid)?);
            }
            _ => {}
        }
        Ok(())
    }

    fn import(&mut self, import: wasmparser::Import<'_>) -> Result<(), Refusal> {
        let (module, name) = (import.module, import.name);
        let known = if module == MODULE { Import::by_name(name) } else { None };
        let (Some(known), TypeRef::Func(number)) = (known, import.ty) else {
            return Err(Refusal::unsupported(format!(
                "the import `{module}.{name}` is none of a portable module, which imports functions of `{MODULE}` only"
            )));
        };
        let types = self.types.get(number as usize);
        if !types.is_some_and(|found| is(found.params(), known.parameters()) && is(found.results(), known.results())) {
            return Err(Refusal::unsupported(format!(
                "the import `{module}.{name}` has another type, expected {:?} -> {:?}",
                known.parameters(),
                known.results()
            )));
        }
        self.functions.push(number);
        self.imports.push(known);
        Ok(())
    }

    fn export(&mut self, name: &str, function: u32) {
        let place = match name {
            "run" => &mut self.exports.run,
            "init" => &mut self.exports.init,
            "exit" => &mut self.exports.exit,
            "bareflow_entry" => &mut self.exports.entry,
            _ => return,
        };
        *place = Some(function);
    }

    fn check_exports(&self) -> Result<(), Refusal> {
        let Exports { run, init, exit, entry } = self.exports;
        let named = [("run", run, 0), ("init", init, 0), ("exit", exit, 0), ("bareflow_entry", entry, 1)];
        for (name, function, parameters) in named {
            let Some(found) = function.and_then(|function| self.function_type(function)) else { continue };
            let i32s = [ValueType::I32];
            if !(is(found.params(), i32s.get(..parameters).unwrap_or_default()) && is(found.results(), &i32s)) {
                let expected = if parameters == 0 { "[] -> [i32]" } else { "[i32] -> [i32]" };
                return Err(Refusal::unsupported(format!("the export `{name}` has another type, expected {expected}")));
            }
        }
        if entry.is_some() && (run.is_some() || init.is_some() || exit.is_some()) {
            return Err(Refusal::unsupported(
                "the module exports `bareflow_entry` besides `run`, `init` or `exit`, expected either",
            ));
        }
        if entry.is_none() && run.is_none() {
            return Err(Refusal::unsupported("the module exports no function `run`, expected [] -> [i32]"));
        }
        Ok(())
    }

    fn elements(&mut self, segment: wasmparser::Element<'wasm>) -> Result<(), Refusal> {
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
        self.referable.extend(elements.iter().filter_map(|element| element.checked_sub(1)));
        self.elements.push(match segment.kind {
            ElementKind::Active { table_index, offset_expr } => {
                let (table, offset) = (table_index.unwrap_or(0), offset_of(&offset_expr)?);
                Elements::Active { table, offset, elements, of_functions }
            }
            ElementKind::Passive => {
                Elements::Passive { range: segment.range, count: elements.len() as u32, of_functions }
            }
            ElementKind::Declared => Elements::Declared { range: segment.range },
        });
        Ok(())
    }
}

/// Returns whether a module that is invalid for an error uses a feature that is not supported: it would be valid with all
/// features, or has instructions of SIMD, which this engine's validator does not know at all.
fn is_of_a_feature(wasm: &[u8], error: &BinaryReaderError) -> bool {
    error.message().contains("SIMD") || Validator::new_with_features(WasmFeatures::all()).validate_all(wasm).is_ok()
}

/// Returns whether types are these numbers.
fn is(types: &[ValType], numbers: &[ValueType]) -> bool {
    let numbers = numbers.iter().map(|number| match number {
        ValueType::I32 => ValType::I32,
        ValueType::I64 => ValType::I64,
    });
    types.iter().copied().eq(numbers)
}

/// Returns the offset of an active segment, which is a constant: there is no global that it could be.
fn offset_of(expression: &ConstExpr<'_>) -> Result<u32, Refusal> {
    match expression.get_operators_reader().read()? {
        Operator::I32Const { value } => Ok(value as u32),
        other => Err(Refusal::unsupported(format!("the offset of a segment is {other:?}, expected a constant"))),
    }
}

/// Returns the element that a constant expression is; 0 for null, and for what is no reference.
fn element_of(expression: &ConstExpr<'_>) -> Result<u32, Refusal> {
    match expression.get_operators_reader().read()? {
        Operator::RefFunc { function_index } => Ok(function_index + 1),
        _ => Ok(0),
    }
}
