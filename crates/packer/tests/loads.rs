//! Every packed blob is accepted by a loader: no ELF file, however it was changed, becomes a blob that is refused.

use bareflow_abi::checksum::Crc32c;
use bareflow_abi::entry::{DESCRIPTOR_SECTION, Descriptor};
use bareflow_loader::valid::Capabilities;
use bareflow_loader::{RawModule, ValidModule};
use bareflow_packer::{PackError, Settings, pack};
use object::write::{Object, StandardSection, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope};
use proptest::prelude::*;

fn settings() -> Settings {
    Settings { name: "test".to_owned(), version: (1, 2, 3), ..Settings::default() }
}

/// Returns a file as the linker makes it: the code `text` at address 0, the entry at `entry`, and a descriptor.
fn elf(entry: u64, text: &[u8], align: u64, descriptor: Descriptor) -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let section = object.section_id(StandardSection::Text);
    object.append_section_data(section, text, align);
    object.add_symbol(Symbol {
        name: b"bareflow_entry".to_vec(),
        value: entry,
        size: 1,
        kind: SymbolKind::Text,
        scope: SymbolScope::Linkage,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    });
    let name = DESCRIPTOR_SECTION.as_bytes().to_vec();
    let section = object.add_section(Vec::new(), name, object::SectionKind::ReadOnlyData);
    let Descriptor { abi_fingerprint, abi_major, abi_minor, flags } = descriptor;
    let bytes =
        [&abi_fingerprint.to_le_bytes()[..], &abi_major.to_le_bytes(), &abi_minor.to_le_bytes(), &flags.to_le_bytes()];
    object.append_section_data(section, &bytes.concat(), 8);
    let mut bytes = object.write().unwrap();
    // A position-independent executable, whose sections have address 0 as in an object file.
    bytes[16..18].copy_from_slice(&object::elf::ET_DYN.to_le_bytes());
    bytes
}

fn good() -> Vec<u8> {
    elf(0, &[0xc3; 16], 16, Descriptor::new(0))
}

/// Checks whether a loader accepts a blob.
fn loads(blob: &[u8]) -> Result<(), String> {
    let raw = RawModule::parse(blob).map_err(|error| error.to_string())?;
    let capabilities = Capabilities { services: u32::MAX, cpu_level: 4, checksum: Crc32c::SOFTWARE };
    ValidModule::validate(raw, capabilities).map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn the_unchanged_file_is_packed_and_loads() {
    assert_eq!(loads(&pack(&good(), &settings()).unwrap()), Ok(()));
}

#[test]
fn rejects_what_a_loader_would() {
    let refused = |elf: &[u8]| pack(elf, &settings()).unwrap_err();
    let good = Descriptor::new(0);
    assert_eq!(refused(&elf(0, &[], 16, good)), PackError::NoText);
    assert_eq!(refused(&elf(16, &[0xc3; 16], 16, good)), PackError::EntryOutside { entry: 16, text_size: 16 });
    for (descriptor, found) in [
        (Descriptor { abi_major: 2, ..good }, (2, good.abi_minor)),
        (Descriptor { abi_minor: 99, ..good }, (1, 99)),
        (Descriptor { abi_fingerprint: 5, ..good }, (1, good.abi_minor)),
    ] {
        let error = refused(&elf(0, &[0xc3; 16], 16, descriptor));
        let fingerprint = descriptor.abi_fingerprint;
        assert_eq!(error, PackError::ForeignAbi { found, fingerprint });
        assert!(error.to_string().contains("build against the bareflow-abi of this version"), "{error}");
    }
    let stateful = Descriptor { flags: bareflow_abi::header::FLAG_STATE, ..good };
    assert_eq!(refused(&elf(0, &[0xc3; 16], 16, stateful)), PackError::StateSchema { length: 0 });
    // The linker never makes such alignments, so the section's header is changed.
    for align in [3_u64, 24, 127, 255, 8192] {
        let mut bytes = self::good();
        let at = bytes.len() - 64 * usize::from(u16::from_le_bytes([bytes[60], bytes[61]])) + 64 + 48;
        bytes[at..at + 8].copy_from_slice(&align.to_le_bytes());
        assert_eq!(refused(&bytes), PackError::Alignment { found: align });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_packed_loads(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = good();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(blob) = pack(&bytes, &settings()) {
            prop_assert_eq!(loads(&blob), Ok(()));
        }
    }
}
