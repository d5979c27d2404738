//! The packer: from a linked ELF file to a `.mod` blob, or from linked WebAssembly to a portable module, bytes in, bytes out.
//!
//! [`elf::Elf`] finds and checks the parts, and [`pack`] writes them in the order of `docs/format.md`. Parts that a
//! loader could not place are refused here, with the name of the symbol or the section. [`wasm::Wasm`] and [`pack_portable`]
//! do the same for `docs/portable.md`.

#![forbid(unsafe_code)]

mod bindings;
pub mod description;
pub mod elf;
pub mod error;
mod fixups;
mod portable;
mod stamp;
mod symbols;
mod uses;
mod variants;
pub mod wasm;

use std::collections::BTreeMap;

use bareflow_abi::depends::VersionParts;
use bareflow_abi::header::{HEADER_SIZE, Header, MACHINE_X86_64, checksum_of};

use elf::Elf;
pub use elf::{Collection, collections};
pub use error::PackError;
pub use portable::{check_portable, pack_portable};
pub use rustc_demangle::demangle;
use stamp::Identity;
pub use uses::{Uses, portable_uses, undefined_among, uses};
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
    /// The devices that it drives: [selectors](bareflow_abi::devices::Selector).
    pub devices: Vec<String>,
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
            devices: Vec::new(),
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
    let identity = Identity::of(settings)?;
    let elf = Elf::read(elf)?;
    let (fixup_count, fixups) = fixups::encode(&elf.fixups)?;
    let (header, mut records) = identity.stamp(settings, &elf.description)?;
    records.extend(symbols::record_of(&elf.symbols, &elf.text, settings.strip).into_iter().flatten());
    records.extend(variants::records(&elf, settings, variants)?);
    let header = Header {
        machine: MACHINE_X86_64,
        entry: elf.entry,
        text_size: size(elf.text.len())?,
        rodata_size: size(elf.rodata.len())?,
        data_size: size(elf.data.len())?,
        bss_size: elf.bss_size,
        alignment: elf.alignment,
        fixup_count,
        fixup_size: size(fixups.len())?,
        record_size: size(records.len())?,
        heap_size: settings.heap_size,
        cpu_level: settings.cpu_level,
        ..header
    };
    let mut blob = [&header.to_bytes()[..], &elf.text, &elf.rodata, &elf.data, &fixups, &records].concat();
    if let Some((checksum, field)) = checksum_of(&blob).zip(blob.get_mut(HEADER_SIZE - 4..HEADER_SIZE)) {
        field.copy_from_slice(&checksum.to_le_bytes());
    }
    Ok(blob)
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
