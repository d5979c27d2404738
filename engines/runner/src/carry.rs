//! An instance's globals, tables and segments: from wasmi to the instance's bytes, and back.

use bareflow_portable::program::Program;
use bareflow_portable::state::{INSTANTIATED, MEMORY_BASE, MEMORY_BYTES, StateLayout};
use wasmi::{Error, F32, F64, Nullable, Ref, RefType, Store, Val};

use crate::bytes::{element_at, segment_mark, set_word, word};
use crate::exports::Parts;
use crate::fault::Fault;
use crate::host::Host;
use crate::references::{FunctionNumbers, reference, segment_function};

/// Returns whether the bytes are those of an instance that is made.
pub fn is_carried(bytes: &[u8]) -> bool {
    word(bytes, INSTANTIATED).is_ok_and(|word| word & 1 != 0)
}

/// Returns the size of the memory, in bytes.
pub fn memory_bytes(bytes: &[u8]) -> usize {
    word(bytes, MEMORY_BYTES).unwrap_or_default() as usize
}

/// Writes an instance to its bytes.
///
/// # Errors
/// If the heap is used up, or the program has none of the parts.
pub fn save(store: &mut Store<Host>, parts: &Parts, program: &Program<'_>, bytes: &mut [u8]) -> Result<(), Fault> {
    let numbers = FunctionNumbers::of(store, parts, program)?;
    if let Some(memory) = store.data().memory {
        set_word(bytes, MEMORY_BASE, memory.data_ptr(&*store).expose_provenance() as u64)?;
        set_word(bytes, MEMORY_BYTES, memory.data_size(&*store) as u64)?;
    }
    for (number, global) in (0..).zip(&parts.globals) {
        let value = match global.get(&*store) {
            Val::I32(value) => u64::from(value as u32),
            Val::I64(value) => value as u64,
            Val::F32(value) => u64::from(value.to_bits()),
            Val::F64(value) => value.to_bits(),
            Val::FuncRef(function) => u64::from(numbers.element_of(&Ref::Func(function))?),
            Val::ExternRef(_) | Val::V128(_) => 0,
        };
        set_word(bytes, StateLayout::global(number), value)?;
        set_word(bytes, StateLayout::global(number) + 8, 0)?;
    }
    for (table, offset) in parts.tables.iter().zip(program.tables.iter()) {
        let size = table.size(&*store) as u32;
        set_word(bytes, offset, u64::from(size))?;
        for index in 0..size {
            let element = table.get(&*store, index.into()).ok_or_else(|| Fault::missing("element", index))?;
            let place = element_at(bytes, offset, index)?;
            *place = numbers.element_of(&element)?.to_le_bytes();
        }
    }
    for (number, &dropped) in (0..).zip(program.dropped) {
        *segment_mark(bytes, program.numbers.dropped, number)? = dropped;
    }
    for (place, segment) in (0..).zip(program.droppable.iter()) {
        let traps_if_dropped = segment_function(store, parts, program, 2 * place)?;
        let is_dropped = traps_if_dropped.call(&mut *store, &[], &mut []).is_err();
        *segment_mark(bytes, program.numbers.dropped, segment)? = is_dropped.into();
    }
    set_word(bytes, INSTANTIATED, 1)
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
        let value = word(bytes, StateLayout::global(number))?;
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
        global.set(&mut *store, value).map_err(|_| Fault::missing("global", number))?;
    }
    for (table, offset) in parts.tables.iter().zip(program.tables.iter()) {
        let (size, kind) = (word(bytes, offset)? as u32, table.ty(&*store).element());
        let more = u64::from(size).saturating_sub(table.size(&*store));
        table.grow(&mut *store, more, Ref::null(kind)).map_err(Error::from)?;
        for index in 0..size {
            let element = u32::from_le_bytes(*element_at(bytes, offset, index)?);
            let element = reference(store, parts, program, kind, element)?;
            table.set(&mut *store, index.into(), element).map_err(Error::from)?;
        }
    }
    for (place, segment) in (0..).zip(program.droppable.iter()) {
        if *segment_mark(bytes, program.numbers.dropped, segment)? != 0 {
            segment_function(store, parts, program, 2 * place + 1)?.call(&mut *store, &[], &mut [])?;
        }
    }
    Ok(())
}
