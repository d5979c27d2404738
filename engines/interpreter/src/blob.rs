//! The blob: the runner's, with a program attached.
//!
//! The program comes after the runner's constants. After the runner's data and bss come the instance, of which the words
//! are initialised, and the room for the memory. So the runner's code and data stay where they are; all that changes in
//! them is the attachment, which says where the rest lies.

use alloc::format;
use alloc::vec::Vec;
use core::mem::offset_of;

use bareflow_abi::carry::{CARRY_ON_CALL, carry_digest};
use bareflow_abi::checksum::Crc32c;
use bareflow_abi::header::{FLAG_EXIT, FLAG_INIT, FLAG_REENTRANT, HEADER_SIZE, Header, KNOWN_FLAGS, checksum_by};
use bareflow_abi::layout::{DATA_OFFSET, MAX_SEGMENT_SIZE, align_up};
use bareflow_abi::record::{CARRY, TRAPS};
use bareflow_engine::{Options, PAGE_BYTES};
use bareflow_portable::MAX_PAGES_IN_BSS;
use bareflow_portable::carry::{References, areas, encode};
use bareflow_portable::description::{name_field, push_record};
use bareflow_portable::program::{ATTACHMENT_MARK, Attachment};
use bareflow_portable::state::CARRIED;

use crate::heap::heap_bytes;
use crate::module::Module;
use crate::program::Prepared;
use crate::refusal::Refusal;
use crate::runner::{ATTACHMENT, Parts, RUNNER, encode_fixup};

/// The stack that the runner needs, in bytes.
const STACK_BYTES: u32 = 64 << 10;

/// The alignment of instance and program, in bytes.
const ALIGNMENT: u64 = 16;

/// The alignment of the memory, in bytes: that of a page of the processor, which is the most that a segment has.
const MEMORY_ALIGNMENT: u64 = 4096;

/// The places of the added parts in the data segment.
struct Places {
    instance: u64,
    memory: u64,
    room: u64,
}

/// Makes the blob of a module, which is called `name` if it does not say its own.
///
/// # Errors
/// The reason for which there is none.
pub fn compile(options: &Options, name: &str, wasm: &[u8]) -> Result<Vec<u8>, Refusal> {
    let module = Module::read(wasm)?;
    let described = describe(&module, options, name)?;
    let prepared = Prepared::of(&module)?;
    let program = prepared.program(&module, described.flags & FLAG_INIT != 0);
    let runner =
        Parts::of(RUNNER).ok_or_else(|| Refusal::invalid("the engine's own runner is cut off; build it anew"))?;
    let places = places(&module, options, &runner, prepared.layout.bytes.into())?;
    let records = records(&module, &prepared, &runner, &places)?;

    let has_memory = module.memory.is_some();
    let mut fixups = runner.fixups.to_vec();
    if has_memory {
        encode_fixup(runner.last_fixup(), places.instance, &mut |bytes| fixups.extend_from_slice(bytes));
    }
    let program_offset = align_up(runner.rodata.len() as u64, ALIGNMENT).unwrap_or_default();
    let rodata_size = program_offset + program.size() as u64;
    let data_size = places.instance + u64::from(CARRIED);
    let bss_size = places.memory + places.room - data_size;
    for size in [rodata_size, data_size + bss_size] {
        if size > MAX_SEGMENT_SIZE {
            let text =
                format!("a segment of {size} bytes, expected at most {MAX_SEGMENT_SIZE}; use fewer pages of memory");
            return Err(Refusal::too_large(text));
        }
    }
    let header = Header {
        // Calls share one instance, so they never overlap.
        flags: (described.flags & KNOWN_FLAGS & !FLAG_REENTRANT) | FLAG_INIT,
        name: described.name,
        version_major: described.version_major,
        version_minor: described.version_minor,
        version_patch: described.version_patch,
        rodata_size: rodata_size as u32,
        data_size: data_size as u32,
        bss_size: bss_size as u32,
        alignment: runner.header.alignment.max(MEMORY_ALIGNMENT as u32),
        fixup_count: runner.header.fixup_count + u32::from(has_memory),
        fixup_size: fixups.len() as u32,
        record_size: records.len() as u32,
        services: module.imports.iter().fold(described.services, |services, import| services | import.services()),
        stack_size: described.stack_size.max(STACK_BYTES),
        heap_size: heap_bytes(&module)?,
        time_us: described.time_us,
        checksum: 0,
        ..runner.header
    };

    let total =
        HEADER_SIZE + runner.text.len() + rodata_size as usize + data_size as usize + fixups.len() + records.len();
    let mut blob = Vec::new();
    blob.try_reserve_exact(total).map_err(|_| Refusal::no_memory(total))?;
    blob.extend(header.to_bytes());
    blob.extend_from_slice(runner.text);
    let rodata = blob.len();
    blob.extend_from_slice(runner.rodata);
    blob.resize(rodata + program_offset as usize, 0);
    program.encode(&mut blob);
    let data = blob.len();
    blob.extend_from_slice(runner.data);
    blob.resize(data + places.instance as usize, 0);
    let (base, bytes) = match module.memory {
        Some((pages, _)) => (DATA_OFFSET + places.memory, pages * PAGE_BYTES),
        None => (0, 0),
    };
    [base, bytes, 0, 0].iter().for_each(|word| blob.extend(word.to_le_bytes()));
    let attachment = Attachment {
        own_offset: ATTACHMENT,
        program_offset: program_offset as u32,
        program_bytes: program.size() as u32,
        instance_offset: places.instance as u32,
        instance_bytes: prepared.layout.bytes,
        memory_offset: places.memory as u32,
        memory_bytes: places.room as u32,
    };
    let place = data + ATTACHMENT as usize + ATTACHMENT_MARK.len();
    if let Some(place) = blob.get_mut(place..place + Attachment::SIZE) {
        place.copy_from_slice(&attachment.to_bytes());
    }
    blob.extend(fixups);
    blob.extend(records);
    let checksum = checksum_by(Crc32c::SOFTWARE, &blob).unwrap_or_default();
    let place = offset_of!(Header, checksum);
    if let Some(place) = blob.get_mut(place..place + size_of::<u32>()) {
        place.copy_from_slice(&checksum.to_le_bytes());
    }
    Ok(blob)
}

/// Returns the header's fields that are the module's own.
fn describe(module: &Module<'_>, options: &Options, name: &str) -> Result<Header, Refusal> {
    let described = match &module.description {
        Some(description) => description.header,
        None => {
            let flag = |function: Option<u32>, flag| if function.is_some() { flag } else { 0 };
            Header {
                flags: flag(module.exports.init, FLAG_INIT) | flag(module.exports.exit, FLAG_EXIT),
                name: name_field(name).ok_or_else(|| {
                    Refusal::invalid(format!("`{name}` is no module's name, expected 1 to 31 of a-z, 0-9, `-` and `_`"))
                })?,
                version_major: options.version_major,
                version_minor: options.version_minor,
                version_patch: options.version_patch,
                ..Header::default()
            }
        }
    };
    Ok(described)
}

/// Places instance and memory behind the runner's own data.
fn places(module: &Module<'_>, options: &Options, runner: &Parts<'_>, instance: u64) -> Result<Places, Refusal> {
    let pages = match module.memory {
        None => 0,
        Some((minimum, maximum)) => {
            let most = options.maximum_pages.min(MAX_PAGES_IN_BSS);
            let room = maximum.unwrap_or(u64::MAX).min(most.into());
            if minimum > room {
                let text =
                    format!("the memory has {minimum} pages at first, expected at most {room}; allow more pages");
                return Err(Refusal::too_large(text));
            }
            room
        }
    };
    let start = align_up(runner.data_and_bss(), ALIGNMENT).unwrap_or(u64::MAX);
    let memory = align_up(start + instance, MEMORY_ALIGNMENT).unwrap_or(u64::MAX);
    Ok(Places { instance: start, memory, room: pages * PAGE_BYTES })
}

/// Returns the records: the runner's, those that the engine adds, and the module's own.
fn records(module: &Module<'_>, prepared: &Prepared, runner: &Parts<'_>, places: &Places) -> Result<Vec<u8>, Refusal> {
    let mut records = runner.records.to_vec();
    push_record(&mut records, TRAPS, crate::runner::TRAPS);
    let tables: Vec<bool> = module.tables.iter().map(|table| table.of_functions).collect();
    let references = References {
        functions: module.functions.len() as u32,
        globals: &module.globals,
        tables: &tables,
        memory: module.memory.is_some(),
    };
    let mut areas = areas(&prepared.layout, &references);
    areas.iter_mut().for_each(|area| area.offset += places.instance as u32);
    push_record(&mut records, CARRY, &encode(carry_digest(module.wasm), CARRY_ON_CALL, &areas));
    if let Some(description) = &module.description {
        records.extend(description.records);
    }
    Ok(records)
}
