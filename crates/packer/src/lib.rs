//! The packer: from a linked ELF file to a `.mod` blob, bytes in, bytes out.
//!
//! [`elf::Elf`] finds and checks the parts, and [`pack`] writes them in the order of `docs/format.md`. Parts that a
//! loader could not place are refused here, with the name of the symbol or the section.

#![forbid(unsafe_code)]

mod bindings;
pub mod elf;
pub mod error;
mod fixups;
mod symbols;
mod uses;
mod variants;

use std::collections::BTreeMap;

use bareflow_abi::depends::{Dependencies, Dependency, VersionParts};
use bareflow_abi::header::{
    FORMAT_VERSION, HEADER_SIZE, Header, KNOWN_FLAGS, MACHINE_X86_64, MAGIC, NAME_SIZE, SERVICE_CALL, checksum_of,
    is_name_byte,
};
use bareflow_abi::record::{
    BINDINGS, DEPENDENCIES, EVENTS, EXPECTED_RESULT, LAYOUT, PARAMETERS, SIGNATURES, STATE_SCHEMA,
};

use elf::Elf;
pub use elf::{Collection, collections};
pub use error::PackError;
pub use rustc_demangle::demangle;
pub use uses::{Uses, undefined_among, uses};
pub use variants::Variant;

/// The settings in a module's `Cargo.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The module's name.
    pub name: String,
    /// The module's semantic version: major, minor, patch.
    pub version: (u32, u32, u32),
    /// The services that it uses: `SERVICE_*` bits.
    pub services: u32,
    /// The stack that it asks for, in bytes; 0 for the loader's default.
    pub stack_size: u32,
    /// The heap that it asks for, in bytes; 0 for none.
    pub heap_size: u32,
    /// The time that a call may take, in microseconds; 0 for the loader's default.
    pub time_us: u32,
    /// The x86-64 level the code was compiled for, 1 to 4.
    pub cpu_level: u8,
    /// The expected result of its run.
    pub expect: Option<i32>,
    /// The modules that it may call; they imply the service `call`.
    pub depends: Vec<Depends>,
    /// The providers of its imports, by the imports' names: a module, or one with a requirement, such as `disk@^1`.
    pub bind: BTreeMap<String, String>,
    /// Whether its symbols and signatures are left out.
    pub strip: bool,
}

/// The defaults. Name and version must still be set: without them nothing is packed.
impl Default for Settings {
    fn default() -> Settings {
        Settings {
            name: String::new(),
            version: (0, 0, 0),
            services: 0,
            stack_size: 0,
            heap_size: 0,
            time_us: 0,
            cpu_level: 1,
            expect: None,
            depends: Vec::new(),
            bind: BTreeMap::new(),
            strip: false,
        }
    }
}

/// A module that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depends {
    /// The module's name.
    pub name: String,
    /// The lowest admissible version.
    pub from: VersionParts,
    /// The first version above the range, if it has an upper bound.
    pub below: Option<VersionParts>,
}

/// Packs `elf`, a position-independent executable linked by `module.ld`. The same input gives the same bytes.
///
/// # Errors
/// The reason for which a loader would refuse the module.
pub fn pack(elf: &[u8], settings: &Settings) -> Result<Vec<u8>, PackError> {
    pack_variants(elf, &[], settings)
}

/// Packs `elf` together with the same module compiled for higher processor levels, in ascending order.
///
/// Variants whose code equals that of the level before them are left out.
///
/// # Errors
/// The reason for which a loader would refuse the module or one of the variants.
pub fn pack_variants(elf: &[u8], variants: &[Variant<'_>], settings: &Settings) -> Result<Vec<u8>, PackError> {
    let name = name_field(&settings.name)?;
    if settings.version == (0, 0, 0) {
        return Err(PackError::NoVersion);
    }
    let depends = dependencies(settings)?;
    let elf = Elf::read(elf)?;
    let (fixup_count, fixups) = fixups::encode(&elf.fixups)?;
    let bindings = bindings::bind(&elf.bindings, &settings.bind)?;
    bindings::check_callable(elf.descriptor.flags, &bindings)?;
    let services = settings.services | bindings::services(&bindings);
    let services = if depends.is_empty() { services } else { services | SERVICE_CALL };
    let mut records = records(settings, &depends, &bindings, &elf);
    records.extend(variants::records(&elf, settings, variants)?);
    let (version_major, version_minor, version_patch) = settings.version;
    let descriptor = elf.descriptor;
    let (abi_minor, abi_fingerprint) = bindings::abi(&descriptor, &bindings, !elf.events.is_empty(), services);
    let header = Header {
        magic: MAGIC,
        format: FORMAT_VERSION,
        machine: MACHINE_X86_64,
        abi_major: descriptor.abi_major,
        abi_minor,
        flags: descriptor.flags & KNOWN_FLAGS,
        abi_fingerprint,
        name,
        version_major,
        version_minor,
        version_patch,
        entry: elf.entry,
        text_size: size(elf.text.len())?,
        rodata_size: size(elf.rodata.len())?,
        data_size: size(elf.data.len())?,
        bss_size: elf.bss_size,
        alignment: elf.alignment,
        fixup_count,
        fixup_size: size(fixups.len())?,
        record_size: size(records.len())?,
        services,
        stack_size: settings.stack_size,
        heap_size: settings.heap_size,
        time_us: settings.time_us,
        cpu_level: settings.cpu_level,
        reserved: [0; 3],
        checksum: 0,
    };
    let mut blob = [&header.to_bytes()[..], &elf.text, &elf.rodata, &elf.data, &fixups, &records].concat();
    if let Some((checksum, field)) = checksum_of(&blob).zip(blob.get_mut(HEADER_SIZE - 4..HEADER_SIZE)) {
        field.copy_from_slice(&checksum.to_le_bytes());
    }
    Ok(blob)
}

/// Returns the header's name field.
fn name_field(name: &str) -> Result<[u8; NAME_SIZE], PackError> {
    if name.is_empty() || name.len() >= NAME_SIZE || !name.bytes().all(is_name_byte) {
        return Err(PackError::Name { found: name.to_owned() });
    }
    let mut field = [0; NAME_SIZE];
    field[..name.len()].copy_from_slice(name.as_bytes());
    Ok(field)
}

/// Encodes the dependency list; empty if there are no dependencies.
fn dependencies(settings: &Settings) -> Result<Vec<u8>, PackError> {
    let mut list = Vec::new();
    for Depends { name, from, below } in &settings.depends {
        // A cut name still breaks the rule, so a name that is too long for its length field is refused.
        let name = name.get(..name.len().min(NAME_SIZE)).unwrap_or_default();
        Dependency { name, from: *from, below: *below }.encode(&mut |part| list.extend_from_slice(part));
    }
    match Dependencies::check(&list, settings.name.as_bytes()) {
        Ok(_) => Ok(list),
        Err((number, why)) => {
            let found = settings.depends.get(number - 1).map(|entry| entry.name.clone()).unwrap_or_default();
            Err(PackError::Dependency { found, why })
        }
    }
}

fn records(settings: &Settings, depends: &[u8], bindings: &[u8], elf: &Elf) -> Vec<u8> {
    let depends = (!depends.is_empty()).then(|| record(DEPENDENCIES, depends));
    let bindings = (!bindings.is_empty()).then(|| record(BINDINGS, bindings));
    let events = (!elf.events.is_empty()).then(|| record(EVENTS, &elf.events));
    let has_signatures = !elf.signatures.is_empty() && !settings.strip;
    let signatures = has_signatures.then(|| record(SIGNATURES, &elf.signatures));
    let expect = settings.expect.map(|expect| record(EXPECTED_RESULT, &expect.to_le_bytes()));
    let state = elf.state_schema.as_ref().map(|schema| record(STATE_SCHEMA, schema));
    let parameters = elf.parameters.as_ref().map(|list| record(PARAMETERS, list));
    let layout = elf.layout.as_ref().map(|layout| record(LAYOUT, layout));
    let symbols = symbols::record_of(&elf.symbols, &elf.text, settings.strip);
    [depends, bindings, events, expect, state, parameters, signatures, layout, symbols]
        .into_iter()
        .flatten()
        .flatten()
        .collect()
}

/// Encodes a record: kind, length and bytes.
fn record(kind: u32, bytes: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes(), &(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

fn size(length: usize) -> Result<u32, PackError> {
    u32::try_from(length).map_err(|_| PackError::TooLarge { found: length as u64 })
}

#[cfg(test)]
mod tests;
