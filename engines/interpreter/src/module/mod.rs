//! A valid module, and all that the engine has to know of it.
//!
//! ```text
//! exports.rs     the functions that the entry calls
//! segments.rs    the segments of elements and data
//! ```

mod exports;
mod segments;

use alloc::format;
use alloc::vec::Vec;
use core::ops::Range;

use bareflow_portable::description::{Description, SECTION};
use bareflow_portable::imports::Import;
use bareflow_portable::state::TableLimits;
use bareflow_portable::types::{FEATURES, imported};
use wasmparser::{BinaryReader, BinaryReaderError, ExternalKind, FuncType, Parser, Payload, Validator, WasmFeatures};

pub use exports::Exports;
pub use segments::{Data, Elements};

use crate::refusal::Refusal;
use segments::element_of;

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
        module.exports.check(|function| module.function_type(function))?;
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
                    let (import, number) = imported(&import?, &self.types).map_err(Refusal::unsupported)?;
                    self.imports.push(import);
                    self.functions.push(number);
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
                        self.exports.add(export.name, export.index);
                        self.referable.push(export.index);
                    }
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(func),
            Payload::ElementSection(segments) => {
                for segment in segments {
                    let (segment, functions) = Elements::read(segment?)?;
                    self.referable.extend(functions);
                    self.elements.push(segment);
                }
            }
            Payload::CodeSectionEntry(body) => self.largest = self.largest.max(body.range().len()),
            Payload::DataSection(segments) => {
                for segment in segments {
                    self.data.push(Data::read(segment?)?);
                }
            }
            Payload::CustomSection(custom) if custom.name() == SECTION => {
                let description = Description::read(custom.data()).map_err(Refusal::invalid)?;
                if self.description.replace(description).is_some() {
                    return Err(Refusal::invalid(format!("there are two sections {SECTION}, expected one")));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Returns whether a module that is invalid for an error uses a feature that is not supported: it would be valid with all
/// features, or has instructions of SIMD, which this engine's validator does not know at all.
fn is_of_a_feature(wasm: &[u8], error: &BinaryReaderError) -> bool {
    error.message().contains("SIMD") || Validator::new_with_features(WasmFeatures::all()).validate_all(wasm).is_ok()
}
