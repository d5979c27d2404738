//! The sections, read one after the other.

use alloc::format;
use alloc::vec::Vec;

use wasmparser::{DataKind, ElementItems, ElementKind, ExternalKind, Payload};

use super::constant::value;
use super::{DataSegment, ElementSegment, Global, Memory, Sections, SegmentMode, Table};
use crate::description::{Description, SECTION};
use crate::refusal::Refusal;
use crate::state::TableLimits;
use crate::types::imported;

impl<'wasm> Sections<'wasm> {
    /// Reads a section, which was validated.
    ///
    /// # Errors
    /// The reason why it is none of a portable module.
    pub fn read(&mut self, payload: Payload<'wasm>) -> Result<(), Refusal> {
        match payload {
            Payload::TypeSection(section) => {
                for function in section.into_iter_err_on_gc_types() {
                    self.types.push(function?);
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let (import, number) = imported(&import?, &self.types).map_err(Refusal::unsupported)?;
                    self.imports.push(import);
                    self.functions.push(number);
                }
            }
            Payload::FunctionSection(section) => {
                for index in section {
                    self.functions.push(index?);
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    let table = table?.ty;
                    self.tables.push(Table {
                        of_functions: table.element_type.is_func_ref(),
                        limits: TableLimits { initial: table.initial, maximum: table.maximum },
                    });
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory?;
                    self.memory = Some(Memory { initial_pages: memory.initial, maximum_pages: memory.maximum });
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    let global = global?;
                    let value = value(&global.init_expr, &self.globals)?;
                    let (value_type, mutable) = (global.ty.content_type, global.ty.mutable);
                    self.globals.push(Global { value_type, mutable, value });
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    if export.kind == ExternalKind::Func {
                        self.exports.push((export.name, export.index));
                    }
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(func),
            Payload::ElementSection(section) => {
                for element in section {
                    let segment = self.element_segment(&element?)?;
                    self.elements.push(segment);
                }
            }
            Payload::DataSection(section) => {
                for data in section {
                    let data = data?;
                    let mode = match data.kind {
                        DataKind::Passive => SegmentMode::Passive,
                        DataKind::Active { offset_expr, .. } => {
                            SegmentMode::Active { table: 0, offset: value(&offset_expr, &self.globals)? as u32 }
                        }
                    };
                    self.data.push(DataSegment { mode, bytes: data.data, range: data.range });
                }
            }
            Payload::CustomSection(section) if section.name() == SECTION => {
                let description = Description::read(section.data()).map_err(Refusal::invalid)?;
                if self.description.replace(description).is_some() {
                    return Err(Refusal::invalid(format!("there are two sections {SECTION}, expected one")));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads an element segment.
    fn element_segment(&self, segment: &wasmparser::Element<'_>) -> Result<ElementSegment, Refusal> {
        let mode = match &segment.kind {
            ElementKind::Passive => SegmentMode::Passive,
            ElementKind::Declared => SegmentMode::Declarative,
            ElementKind::Active { table_index, offset_expr } => SegmentMode::Active {
                table: table_index.unwrap_or(0),
                offset: value(offset_expr, &self.globals)? as u32,
            },
        };
        let mut items = Vec::new();
        let of_functions = match &segment.items {
            ElementItems::Functions(functions) => {
                for function in functions.clone() {
                    items.push(function? + 1);
                }
                true
            }
            ElementItems::Expressions(kind, expressions) => {
                for expression in expressions.clone() {
                    items.push(value(&expression?, &self.globals)? as u32);
                }
                kind.is_func_ref()
            }
        };
        Ok(ElementSegment { mode, of_functions, items, range: segment.range.clone() })
    }
}
