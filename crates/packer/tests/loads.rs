//! Every packed blob is accepted by a loader: no ELF file, however it was changed, becomes a blob that is refused.

use std::collections::BTreeMap;

use bareflow_abi::checksum::Crc32c;
use bareflow_abi::entry::{DESCRIPTOR_SECTION, Descriptor};
use bareflow_abi::events::{self, BadEvent, EVENTS_SECTION, Event, Events, Kind};
use bareflow_abi::fingerprint::FINGERPRINTS;
use bareflow_abi::header::{FLAG_NO_RUN, HEADER_SIZE, Header, SERVICE_INVOKE};
use bareflow_abi::interface::bindings::{
    BINDINGS_SECTION, BadBinding, Entries, Method, NewEntry, Role, SIGNATURES_SECTION, encode, encoded_size,
};
use bareflow_abi::interface::{ArgumentKind, Shape};
use bareflow_abi::record;
use bareflow_loader::records::Records;
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
    elf_with(entry, text, align, descriptor, &[])
}

/// Returns such a file with more sections: their names and bytes.
fn elf_with(entry: u64, text: &[u8], align: u64, descriptor: Descriptor, more: &[(&str, &[u8])]) -> Vec<u8> {
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
    for (name, bytes) in more {
        let section = object.add_section(Vec::new(), name.as_bytes().to_vec(), object::SectionKind::ReadOnlyData);
        object.append_section_data(section, bytes, 1);
    }
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
    let without_run = Descriptor { flags: FLAG_NO_RUN, ..good };
    assert_eq!(refused(&elf(0, &[0xc3; 16], 16, without_run)), PackError::NothingToCall);
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

const METHODS: &[Method] = &[Method { fingerprint: 7, shape: Shape::new(true, &[ArgumentKind::Text]) }];
const IMPORT: NewEntry =
    NewEntry { role: Role::Import, name: "source", interface: "files", version: (1, 0), methods: METHODS };
const ENTRIES: &[NewEntry] = &[IMPORT, NewEntry { role: Role::Export, name: "", ..IMPORT }];
const BINDINGS: [u8; encoded_size(ENTRIES)] = encode(ENTRIES);

fn with_bindings(bindings: &[u8], signatures: &[u8]) -> Vec<u8> {
    let sections = [(BINDINGS_SECTION, bindings), (SIGNATURES_SECTION, signatures)];
    elf_with(0, &[0xc3; 16], 16, Descriptor::new(FLAG_NO_RUN), &sections)
}

/// Returns the records of a blob without other parts than 16 bytes of code.
fn records(blob: &[u8]) -> Vec<(u32, &[u8])> {
    Records::new(&blob[HEADER_SIZE + 16..]).map(Result::unwrap).map(|found| (found.kind, found.bytes)).collect()
}

#[test]
fn imports_and_exports_become_records() {
    let file = with_bindings(&BINDINGS, b"interface files 1.0\n");
    let bind = BTreeMap::from([("source".to_owned(), "disk".to_owned())]);
    let blob = pack(&file, &Settings { bind, ..settings() }).unwrap();
    let header = Header::from_bytes(blob.first_chunk().unwrap());
    // With the feature `alloc` of `bareflow-abi`, which other crates may enable, there is one more flag.
    let flags = Descriptor::new(FLAG_NO_RUN).flags;
    assert_eq!((header.services, header.flags, header.abi_minor), (SERVICE_INVOKE, flags, 3));
    let [(record::BINDINGS, bindings), (record::SIGNATURES, signatures), ..] = records(&blob)[..] else {
        panic!("{:?}", records(&blob))
    };
    assert_eq!(signatures, b"interface files 1.0\n");
    let providers: Vec<_> = Entries::new(bindings).map(|entry| entry.provider).collect();
    assert_eq!(providers, ["disk", ""]);
    // Without texts for people.
    let stripped = pack(&file, &Settings { strip: true, ..settings() }).unwrap();
    assert!(!records(&stripped).iter().any(|(kind, _)| *kind == record::SIGNATURES));
}

#[test]
fn a_module_without_interfaces_needs_no_newer_loader() {
    let blob = pack(&good(), &settings()).unwrap();
    let header = Header::from_bytes(blob.first_chunk().unwrap());
    assert_eq!((header.abi_minor, header.abi_fingerprint), (2, FINGERPRINTS[2]));
}

#[test]
fn rejects_bindings_that_are_none() {
    let refused = |file: &[u8]| pack(file, &settings()).unwrap_err();
    let cut = with_bindings(&BINDINGS[..BINDINGS.len() - 1], b"");
    assert_eq!(refused(&cut), PackError::Binding { number: 2, why: BadBinding::CutOff });
    let mut other = BINDINGS;
    other[0] = 7;
    let error = refused(&with_bindings(&other, b""));
    assert_eq!(error, PackError::Binding { number: 1, why: BadBinding::Role });
    assert!(error.to_string().starts_with("import or export number 1: "), "{error}");
    assert_eq!(refused(&with_bindings(&BINDINGS, b"\xff")), PackError::Signatures { length: 1 });
    let bind = BTreeMap::from([("target".to_owned(), "disk".to_owned())]);
    let error = pack(&with_bindings(&BINDINGS, b""), &Settings { bind, ..settings() }).unwrap_err();
    assert_eq!(error, PackError::UnknownImport { found: "target".to_owned(), imports: vec!["source".to_owned()] });
}

const STOP: Event<'_> =
    Event { kind: Kind::Stop, at_start: false, function: 0, period_us: 0, name: "stop", source: "" };
const PRICE: Event<'_> = Event { kind: Kind::Notification, name: "price", ..STOP };

fn with_events(events: &[u8]) -> Vec<u8> {
    const POLL: NewEntry = NewEntry {
        role: Role::Export,
        name: "",
        interface: "",
        version: (0, 0),
        methods: &[Method { fingerprint: 7, shape: Shape::EMPTY }],
    };
    let bindings: [u8; encoded_size(&[POLL])] = encode(&[POLL]);
    let sections = [(BINDINGS_SECTION, &bindings[..]), (EVENTS_SECTION, events)];
    elf_with(0, &[0xc3; 16], 16, Descriptor::new(FLAG_NO_RUN), &sections)
}

#[test]
fn events_become_a_record() {
    let bytes: [u8; events::encoded_size(&[STOP, PRICE])] = events::encode(&[STOP, PRICE]);
    let blob = pack(&with_events(&bytes), &settings()).unwrap();
    let header = Header::from_bytes(blob.first_chunk().unwrap());
    assert_eq!((header.abi_minor, header.abi_fingerprint), (4, FINGERPRINTS[4]));
    let [(record::BINDINGS, _), (record::EVENTS, found), ..] = records(&blob)[..] else {
        panic!("{:?}", records(&blob))
    };
    assert!(Events::new(found).eq([STOP, PRICE]));
}

#[test]
fn rejects_interrupts_of_devices_that_are_not_declared() {
    const IRQ: Event<'_> = Event { kind: Kind::Interrupt, period_us: 1, name: "irq", ..STOP };
    let file = with_events(&events::encode::<{ events::encoded_size(&[IRQ]) }>(&[IRQ]));
    let with = |devices: &[&str]| {
        let devices = devices.iter().map(|&device| device.to_owned()).collect();
        pack(&file, &Settings { devices, ..settings() })
    };
    let error = with(&[]).unwrap_err();
    assert_eq!(error, PackError::Event { number: 1, why: BadEvent::Device });
    let remedy =
        "; add its device to package.metadata.bareflow in the module's Cargo.toml, such as devices = [\"virtio:net\"]";
    assert!(error.to_string().ends_with(remedy), "{error}");
    assert_eq!(with(&["virtio:net"]), Err(PackError::Event { number: 1, why: BadEvent::Device }));
    let blob = with(&["virtio:net", "virtio:entropy"]).unwrap();
    assert_eq!(Header::from_bytes(blob.first_chunk().unwrap()).abi_minor, 6);
}

#[test]
fn rejects_devices_that_are_none_and_names_those_there_are() {
    let with = |devices: Vec<String>| pack(&good(), &Settings { devices, ..settings() }).unwrap_err().to_string();
    let error = with(vec!["virtio:rng".to_owned()]);
    let expected =
        "expected as NAME one of net, block, console, entropy, balloon, scsi, 9p, gpu, input, socket, crypto, or";
    assert!(error.starts_with("device \"virtio:rng\": it is not ") && error.contains(expected), "{error}");
    let many = with(vec!["virtio:net".to_owned(); 9]);
    assert!(many.contains("it is one too many, expected at most 8; "), "{many}");
}

#[test]
fn rejects_events_that_are_none() {
    let refused = |file: &[u8]| pack(file, &settings()).unwrap_err();
    let bytes: [u8; events::encoded_size(&[PRICE, STOP])] = events::encode(&[PRICE, STOP]);
    let error = refused(&with_events(&bytes[..bytes.len() - 1]));
    assert_eq!(error, PackError::Event { number: 2, why: BadEvent::CutOff });
    assert!(error.to_string().starts_with("event or notification number 2: it extends"), "{error}");
    let handler = Event { function: 1, ..STOP };
    let bytes: [u8; events::encoded_size(&[STOP])] = events::encode(&[handler]);
    assert_eq!(refused(&with_events(&bytes)), PackError::Event { number: 1, why: BadEvent::Function });
    // A method of an interface handles no event, and neither does a function that is not there.
    let bytes: [u8; events::encoded_size(&[STOP])] = events::encode(&[STOP]);
    let sections = [(BINDINGS_SECTION, &BINDINGS[..]), (EVENTS_SECTION, &bytes)];
    let file = elf_with(0, &[0xc3; 16], 16, Descriptor::new(FLAG_NO_RUN), &sections);
    assert_eq!(refused(&file), PackError::Event { number: 1, why: BadEvent::Function });
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
