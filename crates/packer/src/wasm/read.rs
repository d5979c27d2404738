//! The reader.

use bareflow_abi::portable::ValueType;

use super::bytes::Bytes;
use super::section;
use crate::error::PackError;

/// The first bytes of a file: the magic, and version 1.
pub(super) const MAGIC: [u8; 8] = *b"\0asm\x01\0\0\0";

/// A section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'wasm> {
    /// The number: [`section`](super::section).
    pub number: u8,
    /// The name of a custom section; empty for others.
    pub name: &'wasm str,
    /// The content; that of a custom section without its name.
    pub bytes: &'wasm [u8],
}

/// The kind of what is imported or exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternKind {
    /// A function.
    Function = 0,
    /// A table.
    Table = 1,
    /// A memory.
    Memory = 2,
    /// A global.
    Global = 3,
}

/// An import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import<'wasm> {
    /// The module that it comes from.
    pub module: &'wasm str,
    /// The name.
    pub name: &'wasm str,
    /// The kind.
    pub kind: ExternKind,
    /// The type of a function, arguments and results; `None` if they are no plain numbers of 32 or 64 bits.
    pub signature: Option<(Vec<ValueType>, Vec<ValueType>)>,
}

/// An export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Export<'wasm> {
    /// The name.
    pub name: &'wasm str,
    /// The kind.
    pub kind: ExternKind,
    /// The number among all of its kind.
    pub index: u32,
}

/// A memory's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The pages that it has at first.
    pub initial: u32,
    /// The most pages that it may have, if there is a limit.
    pub maximum: Option<u32>,
}

/// A WebAssembly file.
#[derive(Clone, Debug)]
pub struct Wasm<'wasm> {
    /// The sections, in the order of the file.
    pub sections: Vec<Section<'wasm>>,
    /// The imports.
    pub imports: Vec<Import<'wasm>>,
    /// The exports.
    pub exports: Vec<Export<'wasm>>,
    /// The memory that it defines, if it does.
    pub memory: Option<Memory>,
    /// The numbers and names of functions, as the section `name` has them.
    pub names: Vec<(u32, &'wasm str)>,
}

impl<'wasm> Wasm<'wasm> {
    /// Reads the sections of a file, and those lists in them that have a field here. Nothing else is validated.
    ///
    /// # Errors
    /// [`PackError::NotWasm`] if that is not to be read.
    pub fn read(bytes: &'wasm [u8]) -> Result<Wasm<'wasm>, PackError> {
        let Some(rest) = bytes.strip_prefix(&MAGIC) else { return Err(unreadable("a file, by its first bytes")) };
        let sections = sections(Bytes(rest)).ok_or_else(|| unreadable("a section"))?;
        let of = |number| sections.iter().find(|section| section.number == number).map(|section| Bytes(section.bytes));
        let types = of(section::TYPE).map_or(Some(Vec::new()), |mut bytes| bytes.list(function_type));
        let types = types.ok_or_else(|| unreadable("the section of types"))?;
        let imports =
            of(section::IMPORT).map_or(Some(Vec::new()), |mut bytes| bytes.list(|bytes| import(bytes, &types)));
        let exports = of(section::EXPORT).map_or(Some(Vec::new()), |mut bytes| bytes.list(export));
        let memory = match of(section::MEMORY) {
            Some(mut bytes) => {
                bytes.list(memory).ok_or_else(|| unreadable("the section of memories"))?.first().copied()
            }
            None => None,
        };
        let named = sections.iter().find(|section| section.number == section::CUSTOM && section.name == "name");
        Ok(Wasm {
            imports: imports.ok_or_else(|| unreadable("the section of imports"))?,
            exports: exports.ok_or_else(|| unreadable("the section of exports"))?,
            memory,
            // The standard says that a bad section of names is to be ignored.
            names: named.and_then(|section| names(Bytes(section.bytes))).unwrap_or_default(),
            sections,
        })
    }

    /// Returns the content of the custom section with this name.
    #[must_use]
    pub fn custom(&self, name: &str) -> Option<&'wasm [u8]> {
        let is_it = |section: &&Section<'_>| section.number == section::CUSTOM && section.name == name;
        self.sections.iter().find(is_it).map(|section| section.bytes)
    }

    /// Returns the function that is exported by this name.
    #[must_use]
    pub fn exported_function(&self, name: &str) -> Option<u32> {
        let is_it = |export: &&Export<'_>| export.kind == ExternKind::Function && export.name == name;
        self.exports.iter().find(is_it).map(|export| export.index)
    }

    /// Returns the name of a function.
    #[must_use]
    pub fn name_of(&self, function: u32) -> Option<&'wasm str> {
        self.names.iter().find(|(index, _)| *index == function).map(|(_, name)| *name)
    }

    /// Returns the size of the code, in bytes.
    #[must_use]
    pub fn code_size(&self) -> usize {
        let code = self.sections.iter().find(|section| section.number == section::CODE);
        code.map_or(0, |section| section.bytes.len())
    }
}

fn unreadable(part: &'static str) -> PackError {
    PackError::NotWasm { part }
}

fn sections(mut bytes: Bytes<'_>) -> Option<Vec<Section<'_>>> {
    let mut sections = Vec::new();
    while !bytes.0.is_empty() {
        let number = bytes.byte()?;
        let length = bytes.number()?;
        let mut content = Bytes(bytes.take(length)?);
        let name = if number == section::CUSTOM { content.name()? } else { "" };
        sections.push(Section { number, name, bytes: content.0 });
    }
    Some(sections)
}

type FunctionType = Option<(Vec<ValueType>, Vec<ValueType>)>;

/// Reads the type of a function; the inner `None` is one with other types than numbers of 32 and 64 bits.
fn function_type(bytes: &mut Bytes<'_>) -> Option<FunctionType> {
    const FUNCTION: u8 = 0x60;
    (bytes.byte()? == FUNCTION).then_some(())?;
    let value = |bytes: &mut Bytes<'_>| {
        Some(match bytes.byte()? {
            0x7f => Some(ValueType::I32),
            0x7e => Some(ValueType::I64),
            _ => None,
        })
    };
    let (arguments, results) = (bytes.list(value)?, bytes.list(value)?);
    let plain = |types: Vec<Option<ValueType>>| types.into_iter().collect::<Option<Vec<_>>>();
    Some(plain(arguments).zip(plain(results)))
}

fn import<'wasm>(bytes: &mut Bytes<'wasm>, types: &[FunctionType]) -> Option<Import<'wasm>> {
    let (module, name) = (bytes.name()?, bytes.name()?);
    let kind = kind(bytes.byte()?)?;
    let signature = match kind {
        ExternKind::Function => types.get(bytes.number()? as usize)?.clone(),
        ExternKind::Table => {
            bytes.byte()?;
            memory(bytes)?;
            None
        }
        ExternKind::Memory => {
            memory(bytes)?;
            None
        }
        ExternKind::Global => {
            bytes.take(2)?;
            None
        }
    };
    Some(Import { module, name, kind, signature })
}

fn export<'wasm>(bytes: &mut Bytes<'wasm>) -> Option<Export<'wasm>> {
    Some(Export { name: bytes.name()?, kind: kind(bytes.byte()?)?, index: bytes.number()? })
}

const fn kind(number: u8) -> Option<ExternKind> {
    Some(match number {
        0 => ExternKind::Function,
        1 => ExternKind::Table,
        2 => ExternKind::Memory,
        3 => ExternKind::Global,
        _ => return None,
    })
}

/// Reads the limits of a memory or a table, without the flags of memories that are shared or have 64 bits.
fn memory(bytes: &mut Bytes<'_>) -> Option<Memory> {
    let has_maximum = match bytes.byte()? {
        0 => false,
        1 => true,
        _ => return None,
    };
    let initial = bytes.number()?;
    Some(Memory { initial, maximum: if has_maximum { Some(bytes.number()?) } else { None } })
}

/// Reads the names of functions out of the section `name`.
fn names(mut bytes: Bytes<'_>) -> Option<Vec<(u32, &str)>> {
    const FUNCTIONS: u8 = 1;
    while !bytes.0.is_empty() {
        let number = bytes.byte()?;
        let length = bytes.number()?;
        let mut content = Bytes(bytes.take(length)?);
        if number == FUNCTIONS {
            return content.list(|bytes| Some((bytes.number()?, bytes.name()?)));
        }
    }
    None
}
