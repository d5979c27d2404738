//! The blob's bytes: header, segments, fix-up, records.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bareflow_abi::carry::carry_digest;
use bareflow_abi::header::{HEADER_SIZE, Header, checksum_of};
use bareflow_abi::layout::{DATA_OFFSET, MAX_SEGMENT_SIZE, RODATA_OFFSET};
use bareflow_abi::memory::{MEMORY_NEEDS_WINDOW, MEMORY_PAGE_SIZE, MemoryRecord};
use bareflow_abi::record::{CARRY, MEMORY, SYMBOLS, TRAPS};
use bareflow_abi::symbols::Symbol as Named;
use bareflow_abi::{header, leb128};
use bareflow_portable::carry::{areas, encode};
use bareflow_portable::description::push_record;
use bareflow_portable::refusal::Refusal;
use bareflow_portable::state::MEMORY_BASE;

use crate::code::{Compiled, Piece};
use crate::module::Module;
use crate::plan::{MemoryPlacement, Plan};
use crate::symbols::Symbol;

/// Writes the blob.
pub(crate) fn write(
    module: &Module<'_>,
    plan: &Plan<'_>,
    wasm: &[u8],
    compiled: &Compiled,
) -> Result<Vec<u8>, Refusal> {
    // Both are below 256 MiB, and so is their distance from each other.
    let distance = |offset: &u32| (i64::from(*offset) - RODATA_OFFSET as i64) as i32;
    let rodata = plan.rodata.with_functions(compiled.functions.iter().map(distance));
    let (data_bytes, fixups) = match plan.memory {
        MemoryPlacement::Bss { offset, room_pages } => {
            let mut fixup = Vec::new();
            leb128::write(DATA_OFFSET + u64::from(MEMORY_BASE), &mut |bytes| fixup.extend(bytes));
            (u64::from(offset) + u64::from(room_pages) * MEMORY_PAGE_SIZE, fixup)
        }
        MemoryPlacement::None | MemoryPlacement::Window { .. } => (u64::from(plan.data_bytes), Vec::new()),
    };
    let mut data = plan.data.bytes.clone();
    if let MemoryPlacement::Bss { offset, .. } = plan.memory {
        data[..8].copy_from_slice(&(DATA_OFFSET + u64::from(offset)).to_le_bytes());
    }
    for (what, bytes) in [("text", compiled.text.len() as u64), ("rodata", rodata.len() as u64), ("data", data_bytes)] {
        if bytes > MAX_SEGMENT_SIZE {
            return Err(Refusal::too_large(format!("{what} has {bytes} bytes, expected at most {MAX_SEGMENT_SIZE}")));
        }
    }
    let records = records(module, plan, wasm, compiled);
    let header = Header {
        entry: compiled.entry,
        text_size: compiled.text.len() as u32,
        rodata_size: rodata.len() as u32,
        data_size: data.len() as u32,
        bss_size: (data_bytes - data.len() as u64) as u32,
        fixup_count: u32::from(!fixups.is_empty()),
        fixup_size: fixups.len() as u32,
        record_size: records.len() as u32,
        ..plan.header
    };
    let parts = [&compiled.text, &rodata, &data, &fixups, &records];
    let mut blob = Vec::with_capacity(HEADER_SIZE + parts.iter().map(|part| part.len()).sum::<usize>());
    blob.extend(header.to_bytes());
    parts.iter().for_each(|part| blob.extend_from_slice(part));
    let checksum = checksum_of(&blob).unwrap_or_default();
    let place = core::mem::offset_of!(header::Header, checksum);
    blob[place..place + 4].copy_from_slice(&checksum.to_le_bytes());
    Ok(blob)
}

fn records(module: &Module<'_>, plan: &Plan<'_>, wasm: &[u8], compiled: &Compiled) -> Vec<u8> {
    let mut records = Vec::new();
    let (mut list, mut end) = (Vec::new(), 0);
    for &Piece { offset, size, symbol } in &compiled.pieces {
        let name = name_of(module, symbol);
        Named { offset, size, name: &name }.encode(end, &mut |bytes| list.extend(bytes));
        end = offset + size;
    }
    push_record(&mut records, SYMBOLS, &list);
    let (mut list, mut before) = (Vec::new(), 0);
    for site in &compiled.traps {
        site.encode(before, &mut |bytes| list.extend(bytes));
        before = site.offset;
    }
    if !list.is_empty() {
        push_record(&mut records, TRAPS, &list);
    }
    push_record(&mut records, CARRY, &encode(carry_digest(wasm), 0, &areas(&plan.layout, &module.sections)));
    if let MemoryPlacement::Window { initial_pages, maximum_pages } = plan.memory {
        let record = MemoryRecord { words: MEMORY_BASE, initial_pages, maximum_pages, flags: MEMORY_NEEDS_WINDOW };
        push_record(&mut records, MEMORY, &record.to_bytes());
    }
    records.extend(plan.records);
    records
}

/// Returns a name for the list of functions: never empty.
fn name_of(module: &Module<'_>, symbol: Symbol) -> String {
    match symbol {
        Symbol::Function(number) => {
            if let Some(import) = module.sections.imports.get(number as usize) {
                return format!("import {}", import.name());
            }
            let found = module.names.binary_search_by_key(&number, |name| name.0);
            let name = found.ok().map(|index| module.names[index].1).filter(|name| !name.is_empty());
            name.map_or_else(|| format!("function {number}"), |name| format!("{:#}", rustc_demangle::demangle(name)))
        }
        Symbol::Runtime(routine) => routine.name().into(),
        Symbol::Rodata | Symbol::Data => String::new(),
    }
}
