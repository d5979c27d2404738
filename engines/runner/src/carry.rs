//! An instance's globals, tables and segments: from wasmi to the instance's bytes, and back.

use alloc::vec::Vec;

use bareflow_portable::PAGE_BYTES;
use bareflow_portable::program::Program;
use bareflow_portable::state::{INSTANTIATED, MEMORY_BASE, MEMORY_BYTES, StateLayout};
use wasmi::{Error, F32, F64, Func, Nullable, Ref, RefType, Store, Table, Val};

use crate::fault::Fault;
use crate::host::Host;
use crate::machine::{Parts, missing};

/// The size of an element, in bytes.
const ELEMENT: u32 = 4;

/// The size of a table's part before its elements.
const TABLE_HEADER: u32 = 8;

/// Returns whether the bytes are those of an instance that is made.
pub fn is_carried(bytes: &[u8]) -> bool {
    read(bytes, INSTANTIATED).is_ok_and(|word| word & 1 != 0)
}

/// Returns the pages of the memory.
pub fn pages(bytes: &[u8]) -> u32 {
    read(bytes, MEMORY_BYTES).map_or(0, |bytes| (bytes / PAGE_BYTES) as u32)
}

/// Writes an instance to its bytes.
///
/// # Errors
/// If the heap is used up, or the program has none of the parts.
pub fn save(store: &mut Store<Host>, parts: &Parts, program: &Program<'_>, bytes: &mut [u8]) -> Result<(), Fault> {
    let numbers = Functions::of(store, parts, program)?;
    if let Some(memory) = store.data().memory {
        write(bytes, MEMORY_BASE, memory.data_ptr(&*store).expose_provenance() as u64)?;
        write(bytes, MEMORY_BYTES, memory.data_size(&*store) as u64)?;
    }
    for (number, global) in (0..).zip(&parts.globals) {
        let value = match global.get(&*store) {
            Val::I32(value) => u64::from(value as u32),
            Val::I64(value) => value as u64,
            Val::F32(value) => u64::from(value.to_bits()),
            Val::F64(value) => value.to_bits(),
            Val::FuncRef(function) => u64::from(numbers.of_reference(&Ref::Func(function))?),
            Val::ExternRef(_) | Val::V128(_) => 0,
        };
        write(bytes, StateLayout::global(number), value)?;
        write(bytes, StateLayout::global(number) + 8, 0)?;
    }
    for (table, offset) in parts.tables.iter().zip(program.tables.iter()) {
        let size = table.size(&*store) as u32;
        write(bytes, offset, u64::from(size))?;
        for index in 0..size {
            let element = table.get(&*store, index.into()).ok_or_else(|| missing("element", index))?;
            let place = element_at(bytes, offset, index)?;
            *place = numbers.of_reference(&element)?.to_le_bytes();
        }
    }
    for (number, &dropped) in (0..).zip(program.dropped) {
        *byte(bytes, program.numbers.dropped, number)? = dropped;
    }
    for (place, segment) in (0..).zip(program.droppable.iter()) {
        let traps_if_dropped = segment_function(store, parts, program, 2 * place)?;
        let is_dropped = traps_if_dropped.call(&mut *store, &[], &mut []).is_err();
        *byte(bytes, program.numbers.dropped, segment)? = is_dropped.into();
    }
    write(bytes, INSTANTIATED, 1)
}

/// Reads an instance from its bytes.
///
/// # Errors
/// If they are those of no such instance.
pub fn restore(store: &mut Store<Host>, parts: &Parts, program: &Program<'_>, bytes: &mut [u8]) -> Result<(), Fault> {
    for (number, global) in (0..).zip(&parts.globals) {
        if global.ty(&*store).mutability().is_const() {
            continue;
        }
        let value = read(bytes, StateLayout::global(number))?;
        let value = match global.get(&*store) {
            Val::I32(_) => Val::I32(value as i32),
            Val::I64(_) => Val::I64(value as i64),
            Val::F32(_) => Val::F32(F32::from_bits(value as u32)),
            Val::F64(_) => Val::F64(F64::from_bits(value)),
            Val::FuncRef(_) => match reference(store, parts, program, RefType::Func, value as u32)? {
                Ref::Func(function) => Val::FuncRef(function),
                Ref::Extern(null) => Val::ExternRef(null),
            },
            Val::ExternRef(_) => Val::ExternRef(Nullable::Null),
            Val::V128(value) => Val::V128(value),
        };
        global.set(&mut *store, value).map_err(|_| missing("global", number))?;
    }
    for (table, offset) in parts.tables.iter().zip(program.tables.iter()) {
        let (size, kind) = (read(bytes, offset)? as u32, table.ty(&*store).element());
        let more = u64::from(size).saturating_sub(table.size(&*store));
        table.grow(&mut *store, more, Ref::null(kind)).map_err(Error::from)?;
        for index in 0..size {
            let element = u32::from_le_bytes(*element_at(bytes, offset, index)?);
            let element = reference(store, parts, program, kind, element)?;
            table.set(&mut *store, index.into(), element).map_err(Error::from)?;
        }
    }
    for (place, segment) in (0..).zip(program.droppable.iter()) {
        if *byte(bytes, program.numbers.dropped, segment)? != 0 {
            segment_function(store, parts, program, 2 * place + 1)?.call(&mut *store, &[], &mut [])?;
        }
    }
    Ok(())
}

/// Fills the tables of a new instance from the active element segments.
///
/// # Errors
/// If the program has none of the parts.
pub fn fill_tables(store: &mut Store<Host>, parts: &Parts, program: &Program<'_>) -> Result<(), Fault> {
    let mut words = program.elements.iter();
    while let (Some(number), Some(offset), Some(count)) = (words.next(), words.next(), words.next()) {
        let table = *parts.tables.get(number as usize).ok_or_else(|| missing("table", number))?;
        let kind = table.ty(&*store).element();
        for (index, element) in (offset..).zip(words.by_ref().take(count as usize)) {
            let element = reference(store, parts, program, kind, element)?;
            table.set(&mut *store, index.into(), element).map_err(Error::from)?;
        }
    }
    Ok(())
}

/// Returns the reference that an element is: the function's number plus one, or 0 for null.
fn reference(
    store: &Store<Host>,
    parts: &Parts,
    program: &Program<'_>,
    kind: RefType,
    element: u32,
) -> Result<Ref, Fault> {
    let (RefType::Func, Some(number)) = (kind, element.checked_sub(1)) else { return Ok(Ref::null(kind)) };
    let place = program.functions.position(number).ok_or_else(|| missing("function", number))?;
    let functions = parts.functions.ok_or_else(|| missing("function", number))?;
    functions.get(store, place as u64).ok_or_else(|| missing("function", number))
}

/// Returns a function of the droppable segments.
fn segment_function(store: &Store<Host>, parts: &Parts, program: &Program<'_>, place: u32) -> Result<Func, Fault> {
    let index = program.functions.count() as u64 + u64::from(place);
    match parts.functions.and_then(|functions: Table| functions.get(store, index)) {
        Some(Ref::Func(Nullable::Val(function))) => Ok(function),
        _ => Err(missing("function of segment", place)),
    }
}

/// The numbers of all functions that others can refer to, by their handles in wasmi, which are ascending.
struct Functions(Vec<(u64, u32)>);

impl Functions {
    fn of(store: &Store<Host>, parts: &Parts, program: &Program<'_>) -> Result<Functions, Fault> {
        let mut all = Vec::new();
        all.try_reserve_exact(program.functions.count()).map_err(|_| Fault::OutOfHeap)?;
        let Some(functions) = parts.functions else { return Ok(Functions(all)) };
        for (place, number) in (0..).zip(program.functions.iter()) {
            match functions.get(store, place) {
                Some(Ref::Func(Nullable::Val(function))) => all.push((handle(function), number)),
                _ => return Err(missing("function", number)),
            }
        }
        all.sort_unstable();
        Ok(Functions(all))
    }

    /// Returns a reference as an element: the function's number plus one, or 0 for null.
    fn of_reference(&self, reference: &Ref) -> Result<u32, Fault> {
        let Ref::Func(Nullable::Val(function)) = reference else { return Ok(0) };
        let found = self.0.binary_search_by_key(&handle(*function), |entry| entry.0);
        let entry = found.ok().and_then(|place| self.0.get(place));
        entry.map(|entry| entry.1 + 1).ok_or_else(|| missing("function of element", 0))
    }
}

/// Returns the handle of a function as a number. wasmi compares handles only inside.
fn handle(function: Func) -> u64 {
    // SAFETY: a handle consists of two numbers of 32 bits, those of the store and of the function, and no padding.
    unsafe { core::mem::transmute(function) }
}

/// Returns the word at an offset.
fn read(bytes: &[u8], offset: u32) -> Result<u64, Fault> {
    let word = bytes.get(offset as usize..).and_then(|rest| rest.first_chunk());
    word.map(|word| u64::from_le_bytes(*word)).ok_or_else(|| missing("word", offset))
}

/// Sets the word at an offset.
fn write(bytes: &mut [u8], offset: u32, value: u64) -> Result<(), Fault> {
    let word = bytes.get_mut(offset as usize..).and_then(|rest| rest.first_chunk_mut());
    *word.ok_or_else(|| missing("word", offset))? = value.to_le_bytes();
    Ok(())
}

/// Returns the byte of a segment.
fn byte(bytes: &mut [u8], offset: u32, number: u32) -> Result<&mut u8, Fault> {
    bytes.get_mut((offset + number) as usize).ok_or_else(|| missing("segment", number))
}

/// Returns the place of an element of a table.
fn element_at(bytes: &mut [u8], table: u32, index: u32) -> Result<&mut [u8; 4], Fault> {
    let offset = u64::from(table + TABLE_HEADER) + u64::from(ELEMENT) * u64::from(index);
    let place = bytes.get_mut(offset as usize..).and_then(|rest| rest.first_chunk_mut());
    place.ok_or_else(|| missing("element", index))
}
