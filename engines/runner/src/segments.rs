//! The active segments of a program, which a new instance begins with.

use bareflow_portable::program::Program;
use wasmi::{Error, Store};

use crate::exports::Parts;
use crate::fault::Fault;
use crate::host::Host;
use crate::references::reference;

/// Fills the tables from the element segments.
///
/// # Errors
/// If the program has none of the parts.
pub fn fill_tables(store: &mut Store<Host>, parts: &Parts, program: &Program<'_>) -> Result<(), Fault> {
    let mut words = program.elements.iter();
    while let (Some(number), Some(offset), Some(count)) = (words.next(), words.next(), words.next()) {
        let table = *parts.tables.get(number as usize).ok_or_else(|| Fault::missing("table", number))?;
        let kind = table.ty(&*store).element();
        for (index, element) in (offset..).zip(words.by_ref().take(count as usize)) {
            let element = reference(store, parts, program, kind, element)?;
            table.set(&mut *store, index.into(), element).map_err(Error::from)?;
        }
    }
    Ok(())
}

/// Fills the memory from the data segments.
///
/// # Errors
/// If the program has none of the bytes.
pub fn fill_memory(store: &mut Store<Host>, program: &Program<'_>) -> Result<(), Fault> {
    let Some(memory) = store.data().memory else { return Ok(()) };
    let (mut segments, mut bytes) = (program.data.iter(), program.data_bytes);
    while let (Some(address), Some(size)) = (segments.next(), segments.next()) {
        let found = bytes.split_at_checked(size as usize);
        let (segment, rest) = found.ok_or_else(|| Fault::missing("data at", address))?;
        memory.write(&mut *store, address as usize, segment).map_err(Error::from)?;
        bytes = rest;
    }
    Ok(())
}
