//! The plan of a blob: what lies where, before there is code.
//!
//! ```text
//! header.rs     the header, as far as it does not depend on the code
//! data.rs       the data as it is at first: the memory's length, globals, tables
//! memory.rs     the place of linear memory
//! rodata.rs     the read-only data: functions by number, segments, shapes of methods
//! arguments.rs  the arguments of exported functions: where their words lie
//! ```

mod arguments;
mod data;
mod header;
mod memory;
mod rodata;

use bareflow_abi::header::{FLAG_INIT, Header};
use bareflow_portable::description::Description;
use bareflow_portable::refusal::Refusal;
use bareflow_portable::sections::EntryFunctions;
use bareflow_portable::state::StateLayout;

pub(crate) use arguments::Arguments;
pub(crate) use memory::MemoryPlacement;
pub(crate) use rodata::ACTIVE_BYTES;

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
    /// Whether a function for all reasons is called to initialise, too.
    pub wants_init: bool,
    /// The header, without sizes and checksum.
    pub header: Header,
    /// The records that the module brings.
    pub records: &'module [u8],
}

impl<'module> Plan<'module> {
    /// Makes the plan.
    pub fn new(module: &'module Module<'module>, options: &Options, name: &str) -> Result<Plan<'module>, Refusal> {
        let description = module.sections.description.as_ref();
        let layout = module.sections.state_layout()?;
        let rodata = Rodata::new(module, description.and_then(Description::bindings))?;
        let (offset, functions) = rodata.arguments;
        let arguments = (functions > 0).then_some(Arguments { offset, functions, reason: layout.bytes });
        let data_bytes = layout.bytes + if arguments.is_some() { REASON_BYTES } else { 0 };
        let memory = MemoryPlacement::new(module, options, data_bytes)?;
        let entry_functions = EntryFunctions::of(&module.sections)?;
        Ok(Plan {
            data_bytes,
            data: InitialData::new(module, &layout, memory),
            memory,
            initial_memory_bytes: module.sections.initial_memory_bytes(),
            grows: module.grows_memory,
            rodata,
            arguments,
            entry_functions,
            wants_init: description.is_some_and(|description| description.header.flags & FLAG_INIT != 0),
            header: header::header(module, entry_functions, options, name)?,
            records: description.map_or(&[], |description| description.records),
            layout,
        })
    }

    /// Returns the memory's length if that can't change.
    pub fn fixed_memory_bytes(&self) -> Option<u64> {
        (!self.grows).then_some(self.initial_memory_bytes)
    }
}
