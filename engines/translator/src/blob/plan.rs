//! The plan of a blob: the layout of data and memory, the entries, the header's fields.

use alloc::format;
use alloc::vec::Vec;

use bareflow_abi::fingerprint;
use bareflow_abi::header::{
    FLAG_ACCOUNT, FLAG_EXIT, FLAG_INIT, FLAG_MIGRATE, FLAG_NO_RUN, FLAG_STATE, FORMAT_VERSION, Header, MACHINE_X86_64,
    MAGIC, SERVICE_GROW,
};
use bareflow_abi::layout::MAX_ALIGNMENT;
use bareflow_abi::memory::MAX_MEMORY_PAGES;
use bareflow_abi::{ABI_MAJOR, ABI_MINOR};
use bareflow_portable::description::{Description, name_field};
use bareflow_portable::state::{Counts, MEMORY_BYTES, StateLayout, TableLimits};
use bareflow_portable::{MAX_PAGES_IN_BSS, PAGE_BYTES};
use cranelift_codegen::ir::TrapCode;
use wasmparser::ValType;

use super::arguments::Arguments;
use super::rodata::Rodata;
use crate::emitter::TABLE_OUT_OF_BOUNDS;
use crate::error::Error;
use crate::module::{Module, Placement};
use crate::options::{Bounds, Options};

/// The size of the place of a call's reason, in bytes.
const REASON_BYTES: u32 = 8;

/// The functions that the entry calls.
#[derive(Clone, Copy)]
pub(crate) enum Entries {
    /// A function for each reason.
    Functions { run: Option<u32>, init: Option<u32>, exit: Option<u32> },
    /// One function of the reason.
    One { entry: u32, wants_init: bool },
}

/// Where linear memory lies.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// There is none.
    None,
    /// In the bss, at this offset from the data, with room for so many pages.
    Bss { offset: u32, room_pages: u32 },
    /// In a window, whose address the loader writes into the context.
    Window { initial_pages: u32, maximum_pages: u32 },
}

/// The plan of a blob.
pub(crate) struct Plan<'module> {
    pub layout: StateLayout,
    pub memory: Place,
    pub initial_memory_bytes: u64,
    grows: bool,
    pub rodata: Rodata,
    /// The arguments of exported functions, if the module asks for them.
    pub arguments: Option<Arguments>,
    /// The data as it is at first, without trailing zeros.
    pub data: Vec<u8>,
    /// The trap that making the instance ends in.
    pub instantiation_trap: Option<TrapCode>,
    pub entries: Entries,
    /// The header, without sizes and checksum.
    pub header: Header,
    /// The records that the module brings.
    pub records: &'module [u8],
}

impl<'module> Plan<'module> {
    /// Makes the plan.
    pub fn new(module: &'module Module<'module>, options: &Options, name: &str) -> Result<Plan<'module>, Error> {
        let description = module.description.map(Description::read).transpose().map_err(Error::invalid)?;
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
        let memory = place_memory(module, options, end_of_data(&layout, arguments))?;
        let initial_memory_bytes = module.memory.as_ref().map_or(0, |memory| memory.initial_pages * PAGE_BYTES);
        let mut plan = Plan {
            rodata,
            arguments,
            data: Vec::new(),
            instantiation_trap: None,
            entries: entries(module, description.as_ref())?,
            header: header(module, options, name, description.as_ref())?,
            records: description.map_or(&[], |description| description.records),
            grows: module.grows_memory,
            layout,
            memory,
            initial_memory_bytes,
        };
        plan.fill_data(module);
        Ok(plan)
    }

    /// Returns the number of bytes of data besides linear memory.
    pub fn data_bytes(&self) -> u32 {
        end_of_data(&self.layout, self.arguments)
    }

    /// Returns the memory's length if that can't change.
    pub fn fixed_memory_bytes(&self) -> Option<u64> {
        (!self.grows).then_some(self.initial_memory_bytes)
    }

    /// Writes the state as it is at first: the memory's length, globals, tables.
    fn fill_data(&mut self, module: &Module<'_>) {
        self.data = alloc::vec![0; self.layout.bytes as usize];
        if matches!(self.memory, Place::Bss { .. }) {
            self.put(MEMORY_BYTES, &self.initial_memory_bytes.to_le_bytes());
        }
        for (number, global) in (0..).zip(&module.globals) {
            self.put(StateLayout::global(number), &global.value.to_le_bytes());
        }
        for (index, table) in module.tables.iter().enumerate() {
            self.put(self.layout.tables[index].offset, &(table.initial as u32).to_le_bytes());
        }
        for elements in &module.elements {
            let Placement::Active { table, offset } = elements.placement else { continue };
            let end = u64::from(offset) + elements.items.len() as u64;
            if end > module.tables[table as usize].initial {
                self.instantiation_trap.get_or_insert(TABLE_OUT_OF_BOUNDS);
                break;
            }
            let first = self.layout.tables[table as usize].elements() + 4 * offset;
            for (index, item) in (0..).zip(&elements.items) {
                self.put(first + 4 * index, &item.to_le_bytes());
            }
        }
        let is_outside = |data: &crate::module::Data<'_>| match data.placement {
            Placement::Active { offset, .. } => u64::from(offset) + data.bytes.len() as u64 > self.initial_memory_bytes,
            _ => false,
        };
        if module.data.iter().any(is_outside) {
            self.instantiation_trap.get_or_insert(TrapCode::HEAP_OUT_OF_BOUNDS);
        }
        let used = self.data.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        // A fix-up must lie in what the file has.
        self.data.truncate(used.max(8));
    }

    fn put(&mut self, offset: u32, bytes: &[u8]) {
        self.data[offset as usize..][..bytes.len()].copy_from_slice(bytes);
    }
}

fn limits(table: &crate::module::Table) -> TableLimits {
    TableLimits { initial: table.initial, maximum: table.maximum }
}

/// Returns where data that is no linear memory ends.
fn end_of_data(layout: &StateLayout, arguments: Option<Arguments>) -> u32 {
    layout.bytes + if arguments.is_some() { REASON_BYTES } else { 0 }
}

fn place_memory(module: &Module<'_>, options: &Options, data_bytes: u32) -> Result<Place, Error> {
    let Some(memory) = &module.memory else { return Ok(Place::None) };
    let limit = u64::from(options.maximum_pages);
    if memory.initial_pages > limit {
        return Err(Error::too_large(format!(
            "the memory has {} pages at first, expected at most {limit}; raise the option maximum_pages",
            memory.initial_pages
        )));
    }
    let most = memory.maximum_pages.unwrap_or(u64::MAX).min(limit).min(MAX_MEMORY_PAGES.into());
    let most = if module.grows_memory { most } else { memory.initial_pages };
    if options.bounds == Bounds::Window {
        return Ok(Place::Window { initial_pages: memory.initial_pages as u32, maximum_pages: most as u32 });
    }
    let most = most.min(u64::from(MAX_PAGES_IN_BSS));
    if memory.initial_pages > most {
        return Err(Error::too_large(format!(
            "the memory has {} pages at first, expected at most {most} without a window",
            memory.initial_pages
        )));
    }
    Ok(Place::Bss { offset: data_bytes.next_multiple_of(MAX_ALIGNMENT), room_pages: most as u32 })
}

/// The stack of a module without a description, in bytes: enough for as many nested calls as an interpreter has room for, in
/// frames of 64 bytes.
const STACK_BYTES: u32 = 256 << 10;

/// Returns the functions that the entry calls.
fn entries(module: &Module<'_>, description: Option<&Description<'_>>) -> Result<Entries, Error> {
    let typed = |name: &str, parameters: &[ValType]| {
        let Some(number) = module.exported(name) else { return Ok(None) };
        let found = module.type_of(number);
        if found.params() == parameters && found.results() == [ValType::I32] {
            return Ok(Some(number));
        }
        let parameters = if parameters.is_empty() { "()" } else { "(i32)" };
        Err(Error::invalid(format!("the export {name} has the type {found}, expected {parameters} -> (i32)")))
    };
    let flags = description.map_or(0, |description| description.header.flags);
    let (run, init, exit) = (typed("run", &[])?, typed("init", &[])?, typed("exit", &[])?);
    if let Some(entry) = typed("bareflow_entry", &[ValType::I32])? {
        if [run, init, exit].iter().any(Option::is_some) {
            return Err(Error::invalid("there are exports bareflow_entry and run, init or exit; export either"));
        }
        return Ok(Entries::One { entry, wants_init: flags & FLAG_INIT != 0 });
    }
    if run.is_none() {
        return Err(Error::invalid(
            "there is no export run or bareflow_entry; export a function run of type () -> (i32)",
        ));
    }
    Ok(Entries::Functions { run, init, exit })
}

/// Returns the header, without sizes and checksum.
fn header(
    module: &Module<'_>,
    options: &Options,
    name: &str,
    description: Option<&Description<'_>>,
) -> Result<Header, Error> {
    // Not that calls may overlap: they share one instance.
    const COPIED: u32 = FLAG_EXIT | FLAG_MIGRATE | FLAG_STATE | FLAG_ACCOUNT | FLAG_NO_RUN;
    let own = description.map(|description| description.header).unwrap_or_default();
    let grows = options.bounds == Bounds::Window && module.grows_memory;
    let services = if grows { SERVICE_GROW } else { 0 };
    let services = module.imports.iter().fold(services, |services, import| services | import.services());
    let (name, version, flags, services) = match description {
        Some(_) => {
            let version = (own.version_major, own.version_minor, own.version_patch);
            (own.name, version, own.flags & COPIED, own.services | services)
        }
        None => {
            let field = name_field(name).ok_or_else(|| {
                Error::invalid(format!("the name {name:?} is no module's: expected 1 to 31 of a-z, 0-9, _ and -"))
            })?;
            let exit = if module.exported("exit").is_some() { FLAG_EXIT } else { 0 };
            (field, options.version, exit, services)
        }
    };
    Ok(Header {
        magic: MAGIC,
        format: FORMAT_VERSION,
        machine: MACHINE_X86_64,
        abi_major: ABI_MAJOR,
        abi_minor: ABI_MINOR,
        flags: flags | FLAG_INIT,
        abi_fingerprint: fingerprint::FINGERPRINT,
        name,
        version_major: version.0,
        version_minor: version.1,
        version_patch: version.2,
        alignment: MAX_ALIGNMENT,
        services,
        stack_size: description.map_or(STACK_BYTES, |_| own.stack_size),
        heap_size: own.heap_size,
        time_us: own.time_us,
        cpu_level: options.cpu_level,
        ..Header::default()
    })
}
