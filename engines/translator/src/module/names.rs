//! The sections: types, index spaces, segments.

use alloc::collections::BTreeMap;
use alloc::format;

use bareflow_portable::description::SECTION;
use bareflow_portable::types::imported;
use wasmparser::{DataKind, ElementItems, ElementKind, ExternalKind, KnownCustom, Name, Payload};

use super::constant::value;
use super::{Data, Elements, Global, Memory, Module, Placement, Table};
use crate::error::Error;

/// Reads a section, which was validated, into the module.
pub(super) fn read<'wasm>(module: &mut Module<'wasm>, payload: Payload<'wasm>) -> Result<(), Error> {
    match payload {
        Payload::TypeSection(section) => {
            let mut numbers = BTreeMap::new();
            for function in section.into_iter_err_on_gc_types() {
                let function = function?;
                let number = module.types.len() as u32;
                let key = (function.params().to_vec(), function.results().to_vec());
                module.canonical_types.push(*numbers.entry(key).or_insert(number));
                module.types.push(function);
            }
        }
        Payload::ImportSection(section) => {
            for import in section.into_imports() {
                let (import, number) = imported(&import?, &module.types).map_err(Error::unsupported)?;
                module.imports.push(import);
                module.functions.push(number);
            }
        }
        Payload::FunctionSection(section) => {
            for index in section {
                module.functions.push(index?);
            }
        }
        Payload::TableSection(section) => {
            for table in section {
                let limits = table?.ty;
                let holds_functions = limits.element_type.is_func_ref();
                let (initial, maximum) = (limits.initial, limits.maximum);
                module.tables.push(Table { initial, maximum, holds_functions, grows: false });
            }
        }
        Payload::MemorySection(section) => {
            for memory in section {
                let memory = memory?;
                module.memory = Some(Memory { initial_pages: memory.initial, maximum_pages: memory.maximum });
            }
        }
        Payload::GlobalSection(section) => {
            for global in section {
                let global = global?;
                let value = value(&global.init_expr, &module.globals)?;
                let (value_type, mutable) = (global.ty.content_type, global.ty.mutable);
                module.globals.push(Global { value_type, mutable, value });
            }
        }
        Payload::ExportSection(section) => {
            for export in section {
                let export = export?;
                if export.kind == ExternalKind::Func {
                    module.exports.push((export.name, export.index));
                }
            }
        }
        Payload::StartSection { func, .. } => module.start = Some(func),
        Payload::ElementSection(section) => {
            for element in section {
                let element = read_elements(module, &element?)?;
                module.elements.push(element);
            }
        }
        Payload::DataSection(section) => {
            for data in section {
                let data = data?;
                let placement = match data.kind {
                    DataKind::Passive => Placement::Passive,
                    DataKind::Active { offset_expr, .. } => {
                        Placement::Active { table: 0, offset: value(&offset_expr, &module.globals)? as u32 }
                    }
                };
                module.data.push(Data { placement, bytes: data.data });
            }
        }
        Payload::CustomSection(section) if section.name() == SECTION => {
            let other = module.description.replace(section.data());
            other.map_or(Ok(()), |_| Err(Error::invalid(format!("there are two sections {SECTION}, expected one"))))?;
        }
        Payload::CustomSection(section) => {
            if let KnownCustom::Name(names) = section.as_known() {
                read_names(module, names);
            }
        }
        _ => {}
    }
    Ok(())
}

fn read_elements(module: &Module<'_>, element: &wasmparser::Element<'_>) -> Result<Elements, Error> {
    let placement = match &element.kind {
        ElementKind::Passive => Placement::Passive,
        ElementKind::Declared => Placement::Declared,
        ElementKind::Active { table_index, offset_expr } => {
            Placement::Active { table: table_index.unwrap_or(0), offset: value(offset_expr, &module.globals)? as u32 }
        }
    };
    let items = match &element.items {
        ElementItems::Functions(functions) => {
            functions.clone().into_iter().map(|function| Ok(function? + 1)).collect::<Result<_, Error>>()?
        }
        ElementItems::Expressions(_, expressions) => expressions
            .clone()
            .into_iter()
            .map(|expression| Ok(value(&expression?, &module.globals)? as u32))
            .collect::<Result<_, Error>>()?,
    };
    Ok(Elements { placement, items })
}

/// Reads the functions' names. What is wrong with them is of no consequence: the rest is left out.
fn read_names<'wasm>(module: &mut Module<'wasm>, names: wasmparser::NameSectionReader<'wasm>) {
    for name in names {
        let Ok(Name::Function(map)) = name else { continue };
        for naming in map {
            let Ok(naming) = naming else { break };
            module.names.push((naming.index, naming.name));
        }
    }
    module.names.sort_by_key(|name| name.0);
    module.names.dedup_by_key(|name| name.0);
}
