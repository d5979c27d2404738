//! The test's module, read section by section.

use anyhow::Result;
use wasm_encoder::ConstExpr;
use wasm_encoder::reencode::{self, Reencode};
use wasmparser::{ExternalKind, Operator, Payload, ValType};

use super::imports::constant;
use super::{Parts, Target};

/// The numbers of functions: one more each, since the first is now an import of `run`. The values of imported globals take
/// the globals' places in constant expressions.
pub(super) struct Renumber(pub Vec<(ValType, u64)>);

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

impl Parts {
    /// Reads a section.
    pub(super) fn read(&mut self, payload: Payload<'_>, renumber: &mut Renumber) -> Result<()> {
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
            Payload::TableSection(section) => {
                self.has_state = true;
                renumber.parse_table_section(&mut self.tables, section)?;
            }
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
                    self.targets.insert(export.name.into(), target);
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
}
