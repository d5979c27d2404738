//! The plan of a blob: what lies where, before there is code.
//!
//! ```text
//! header.rs     the header, as far as it does not depend on the code
//! entry.rs      the functions of the module that the entry calls
//! data.rs       the data as it is at first: the memory's length, globals, tables
//! memory.rs     the place of linear memory
//! rodata.rs     the read-only data: functions by number, segments, shapes of methods
//! arguments.rs  the arguments of exported functions: where their words lie
//! ```

mod arguments;
mod data;
mod entry;
mod header;
mod memory;
mod rodata;

use alloc::vec::Vec;

use bareflow_abi::header::Header;
use bareflow_portable::PAGE_BYTES;
use bareflow_portable::description::Description;
use bareflow_portable::state::{Counts, StateLayout, TableLimits};

pub(crate) use arguments::Arguments;
pub(crate) use entry::EntryFunctions;
pub(crate) use memory::MemoryPlacement;
pub(crate) use rodata::ACTIVE_BYTES;

use crate::error::Error;
use crate::module::Module;
use crate::options::Options;
use data::InitialData;
use rodata::Rodata;

/// The size of the place of a call's reason, in bytes.
const REASON_BYTES: u32 = 8;

/// The plan of a blob.
pub(crate) struct Plan<'module> {
    pub layout: StateLayout,
    /// The size of data besides linear memory, in bytes.
    pub data_bytes: u32,
    pub data: InitialData,
    pub memory: MemoryPlacement,
    pub initial_memory_bytes: u64,
    grows: bool,
    pub rodata: Rodata,
    /// The arguments of exported functions, if the module asks for them.
    pub arguments: Option<Arguments>,
    pub entry_functions: EntryFunctions,
    /// The header, without sizes and checksum.
    pub header: Header,
    /// The records that the module brings.
    pub records: &'module [u8],
}

impl<'module> Plan<'module> {
    /// Makes the plan.
    pub fn new(module: &'module Module<'module>, options: &Options, name: &str) -> Result<Plan<'module>, Error> {
        let description = module.description.map(Description::read).transpose().map_err(Error::invalid)?;
        let limits = |table: &crate::module::Table| TableLimits { initial: table.initial, maximum: table.maximum };
        let tables: Vec<_> = module.tables.iter().map(limits).collect();
        let counts = Counts {
            globals: module.globals.len() as u32,
            tables: &tables,
            data_segments: module.data.len() as u32,
            element_segments: module.elements.len() as u32,
        };
        let layout = StateLayout::new(counts)
            .ok_or_else(|| Error::too_large("globals, tables and segments take more than 16 MiB; use fewer"))?;
        let rodata = Rodata::new(module, description.as_ref().and_then(Description::bindings))?;
        let (offset, functions) = rodata.arguments;
        let arguments = (functions > 0).then_some(Arguments { offset, functions, reason: layout.bytes });
        let data_bytes = layout.bytes + if arguments.is_some() { REASON_BYTES } else { 0 };
        let memory = MemoryPlacement::new(module, options, data_bytes)?;
        let initial_memory_bytes = module.memory.as_ref().map_or(0, |memory| memory.initial_pages * PAGE_BYTES);
        Ok(Plan {
            data_bytes,
            data: InitialData::new(module, &layout, memory, initial_memory_bytes),
            memory,
            initial_memory_bytes,
            grows: module.grows_memory,
            rodata,
            arguments,
            entry_functions: EntryFunctions::new(module, description.as_ref())?,
            header: header::header(module, options, name, description.as_ref())?,
            records: description.map_or(&[], |description| description.records),
            layout,
        })
    }

    /// Returns the memory's length if that can't change.
    pub fn fixed_memory_bytes(&self) -> Option<u64> {
        (!self.grows).then_some(self.initial_memory_bytes)
    }
}
