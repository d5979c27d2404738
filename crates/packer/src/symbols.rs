//! The functions of a module, with demangled names.

use bareflow_abi::entry::ENTRY_SYMBOL;
use bareflow_abi::layout::{RODATA_OFFSET, TEXT_OFFSET};
use bareflow_abi::record::SYMBOLS;
use bareflow_abi::symbols::Symbol;
use object::read::elf::{ElfFile64, ElfSymbol64};
use object::{LittleEndian, Object, ObjectSymbol, SymbolKind};

use crate::record;

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// The function's offset in the text.
    pub offset: u32,
    /// The function's size in bytes, at least one.
    pub size: u32,
    /// The function's name, demangled.
    pub name: String,
}

/// Returns the functions in the order of their addresses. Of functions that overlap, the first and largest is kept.
pub(crate) fn functions(file: &ElfFile64<'_, LittleEndian>) -> Vec<Function> {
    let is_function = |symbol: &ElfSymbol64<'_, '_, LittleEndian>| {
        symbol.kind() == SymbolKind::Text
            && symbol.size() > 0
            && (TEXT_OFFSET..RODATA_OFFSET).contains(&symbol.address())
    };
    let mut functions: Vec<_> = file
        .symbols()
        .filter(is_function)
        .filter_map(|symbol| {
            let name = symbol.name().ok().filter(|name| !name.is_empty())?;
            Some(Function {
                offset: u32::try_from(symbol.address() - TEXT_OFFSET).ok()?,
                size: u32::try_from(symbol.size()).ok()?,
                // Without the hash in legacy names.
                name: format!("{:#}", rustc_demangle::demangle(name)),
            })
        })
        .collect();
    functions.sort_by(|one, other| (one.offset, other.size, &one.name).cmp(&(other.offset, one.size, &other.name)));
    let mut end = 0;
    functions.retain(|function| {
        let is_apart = u64::from(function.offset) >= end;
        if is_apart {
            end = u64::from(function.offset) + u64::from(function.size);
        }
        is_apart
    });
    functions
}

/// Returns the record of the symbols; `None` with `strip`, or if all code belongs to the entry.
pub(crate) fn record_of(functions: &[Function], text: &[u8], strip: bool) -> Option<Vec<u8>> {
    let in_text = |function: &&Function| u64::from(function.offset) + u64::from(function.size) <= text.len() as u64;
    let functions: Vec<_> = functions.iter().filter(in_text).collect();
    if strip || functions.iter().all(|function| function.name == ENTRY_SYMBOL) {
        return None;
    }
    let (mut list, mut end) = (Vec::new(), 0);
    for Function { offset, size, name } in functions {
        let symbol = Symbol { offset: *offset, size: *size, name };
        symbol.encode(end, &mut |bytes| list.extend_from_slice(bytes));
        end = offset + size;
    }
    Some(record(SYMBOLS, &list))
}
