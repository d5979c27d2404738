//! The blob: the runner's, with a program attached.
//!
//! The program comes after the runner's constants. After the runner's data and bss come the instance, of which the words
//! are initialised, and the room for the memory, unless that lies in a window of its own. So the runner's code and data stay
//! where they are; all that changes in them is the attachment, which says where the rest lies.

mod places;

use alloc::format;
use alloc::vec::Vec;
use core::mem::offset_of;

use bareflow_abi::ABI_MINOR;
use bareflow_abi::carry::{CARRY_ON_CALL, carry_digest};
use bareflow_abi::checksum::Crc32c;
use bareflow_abi::fingerprint::FINGERPRINT;
use bareflow_abi::header::{FLAG_INIT, FLAG_REENTRANT, HEADER_SIZE, Header, KNOWN_FLAGS, SERVICE_GROW, checksum_by};
use bareflow_abi::layout::{DATA_OFFSET, MAX_SEGMENT_SIZE, align_up};
use bareflow_abi::memory::{MEMORY_PAGE_SIZE, MemoryRecord};
use bareflow_abi::record::{CARRY, MEMORY, TRAPS};
use bareflow_engine::Options;
use bareflow_portable::carry::{areas, encode};
use bareflow_portable::description::{name_field, push_record};
use bareflow_portable::program::{ATTACHMENT_MARK, Attachment};
use bareflow_portable::refusal::Refusal;
use bareflow_portable::state::CARRIED;

use self::places::{MEMORY_ALIGNMENT, MemoryPlacement, Places};
use crate::heap::heap_bytes;
use crate::module::Module;
use crate::program::Prepared;
use crate::runner::{ATTACHMENT, Parts, RUNNER, encode_fixup};

/// The stack that the runner needs, in bytes.
const STACK_BYTES: u32 = 64 << 10;

/// The alignment of the program, in bytes.
const ALIGNMENT: u64 = 16;

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
    let places = Places::new(&module, options, &runner, prepared.layout.bytes.into())?;
    let records = records(&module, &prepared, &runner, &places)?;

    let fixups = fixups(&runner, &places);
    let program_offset = align_up(runner.rodata.len() as u64, ALIGNMENT).unwrap_or_default();
    let rodata_size = program_offset + program.size() as u64;
    let data_size = places.instance + u64::from(CARRIED);
    let bss_size = places.end - data_size;
    for size in [rodata_size, data_size + bss_size] {
        if size > MAX_SEGMENT_SIZE {
            let text =
                format!("a segment of {size} bytes, expected at most {MAX_SEGMENT_SIZE}; use fewer pages of memory");
            return Err(Refusal::too_large(text));
        }
    }
    let own_services = if places.memory.can_grow() { SERVICE_GROW } else { 0 };
    // The runner needs less than what programs can ask for.
    let (abi_minor, abi_fingerprint) = match places.memory {
        MemoryPlacement::Window { .. } => (ABI_MINOR, FINGERPRINT),
        MemoryPlacement::None | MemoryPlacement::Bss { .. } => (runner.header.abi_minor, runner.header.abi_fingerprint),
    };
    let header = Header {
        // Calls share one instance, so they never overlap.
        flags: (described.flags & KNOWN_FLAGS & !FLAG_REENTRANT) | FLAG_INIT,
        abi_minor,
        abi_fingerprint,
        name: described.name,
        version_major: described.version_major,
        version_minor: described.version_minor,
        version_patch: described.version_patch,
        rodata_size: rodata_size as u32,
        data_size: data_size as u32,
        bss_size: bss_size as u32,
        alignment: runner.header.alignment.max(MEMORY_ALIGNMENT as u32),
        fixup_count: runner.header.fixup_count + u32::from(places.memory.has_fixup()),
        fixup_size: fixups.len() as u32,
        record_size: records.len() as u32,
        services: described.services | own_services | module.sections.services(),
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
    // The loader writes the words of a window.
    let (base, bytes) = match places.memory {
        MemoryPlacement::Bss { offset, initial_pages, .. } => (DATA_OFFSET + offset, initial_pages * MEMORY_PAGE_SIZE),
        MemoryPlacement::None | MemoryPlacement::Window { .. } => (0, 0),
    };
    [base, bytes, 0, 0].iter().for_each(|word| blob.extend(word.to_le_bytes()));
    let (memory_offset, memory_pages) = places.memory.attached();
    let attachment = Attachment {
        own_offset: ATTACHMENT,
        program_offset: program_offset as u32,
        program_bytes: program.size() as u32,
        instance_offset: places.instance as u32,
        instance_bytes: prepared.layout.bytes,
        memory_offset,
        memory_pages,
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
    let described = match &module.sections.description {
        Some(description) => description.header,
        None => Header {
            flags: module.entry_functions.flags(),
            name: name_field(name).ok_or_else(|| {
                Refusal::invalid(format!("`{name}` is no module's name, expected 1 to 31 of a-z, 0-9, `-` and `_`"))
            })?,
            version_major: options.version_major,
            version_minor: options.version_minor,
            version_patch: options.version_patch,
            ..Header::default()
        },
    };
    Ok(described)
}

/// Returns the fix-ups: the runner's, and that of the address of a memory in the data.
fn fixups(runner: &Parts<'_>, places: &Places) -> Vec<u8> {
    let mut fixups = runner.fixups.to_vec();
    if places.memory.has_fixup() {
        encode_fixup(runner.last_fixup(), places.instance, &mut |bytes| fixups.extend_from_slice(bytes));
    }
    fixups
}

/// Returns the records: the runner's, those that the engine adds, and the module's own.
fn records(module: &Module<'_>, prepared: &Prepared, runner: &Parts<'_>, places: &Places) -> Result<Vec<u8>, Refusal> {
    let mut records = runner.records.to_vec();
    push_record(&mut records, TRAPS, crate::runner::TRAPS);
    let mut areas = areas(&prepared.layout, &module.sections);
    areas.iter_mut().for_each(|area| area.offset += places.instance as u32);
    push_record(&mut records, CARRY, &encode(carry_digest(module.wasm), CARRY_ON_CALL, &areas));
    if let MemoryPlacement::Window { initial_pages, maximum_pages } = places.memory {
        // The interpreter checks all accesses, so it needs no more addresses than the memory can have.
        let (initial_pages, maximum_pages) = (initial_pages as u32, maximum_pages as u32);
        let record = MemoryRecord { words: places.instance as u32, initial_pages, maximum_pages, flags: 0 };
        push_record(&mut records, MEMORY, &record.to_bytes());
    }
    if let Some(description) = &module.sections.description {
        records.extend(description.records);
    }
    Ok(records)
}
