//! Tests of packing WebAssembly: files of a few sections, each with one thing that is wrong.

use super::*;
use crate::tests::settings;
use bareflow_abi::entry::DESCRIPTOR_SECTION;
use bareflow_abi::header::{FLAG_INIT, HEADER_SIZE, SERVICE_LOG};
use bareflow_abi::interface::bindings::{BINDINGS_SECTION, Method, NewEntry, Role, encode, encoded_size};
use bareflow_abi::interface::{ArgumentKind, Shape};
use bareflow_abi::memory::MAX_MEMORY_PAGES;
use bareflow_abi::{ABI_MINOR, portable::ENTRY_SYMBOL};

/// The parts of a file: an import, a descriptor, and the name of the entry's function.
struct File {
    import: (&'static str, &'static str),
    descriptor: Option<Descriptor>,
    export: &'static str,
    function_name: &'static str,
    bindings: Vec<u8>,
}

fn file() -> File {
    File {
        import: ("bareflow", "log"),
        descriptor: Some(Descriptor {
            abi_fingerprint: 7,
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            flags: FLAG_INIT,
        }),
        export: ENTRY_SYMBOL,
        function_name: "_ZN3one3two17h0123456789abcdefE",
        bindings: Vec::new(),
    }
}

impl File {
    fn bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        // Two arguments without a result: what `log` is, and the entry is not, which engines notice.
        writer.section(section::TYPE, &[1, 0x60, 2, 0x7f, 0x7f, 0]);
        let mut import = vec![1, self.import.0.len() as u8];
        import.extend(self.import.0.bytes());
        import.push(self.import.1.len() as u8);
        import.extend(self.import.1.bytes());
        import.extend([0, 0]);
        writer.section(section::IMPORT, &import);
        writer.section(section::FUNCTION, &[1, 0]);
        writer.memory(Memory { initial: 2, maximum: None });
        writer.exports(&[(self.export, ExternKind::Function, 1), ("memory", ExternKind::Memory, 0)]);
        writer.section(section::CODE, &[1, 2, 0, 0x0b]);
        if let Some(Descriptor { abi_fingerprint, abi_major, abi_minor, flags }) = self.descriptor {
            let parts = [&abi_fingerprint.to_le_bytes()[..], &abi_major.to_le_bytes(), &abi_minor.to_le_bytes()];
            writer.custom(DESCRIPTOR_SECTION, &[&parts.concat()[..], &flags.to_le_bytes()].concat());
        }
        if !self.bindings.is_empty() {
            writer.custom(BINDINGS_SECTION, &self.bindings);
        }
        writer.custom("producers", b"left out");
        writer.names("linked", &[(1, self.function_name.to_owned())]);
        writer.end()
    }

    fn error(&self) -> PackError {
        pack_portable(&self.bytes(), &settings()).unwrap_err()
    }
}

#[test]
fn describes_what_it_packs() {
    let wanted = Settings { services: SERVICE_LOG, stack_size: 4096, heap_size: 9, expect: Some(5), ..settings() };
    let bytes = pack_portable(&file().bytes(), &wanted).unwrap();
    let wasm = Wasm::read(&bytes).unwrap();
    assert_eq!(check_portable(&wasm), Ok(()));
    let (header, records) = wasm.custom(SECTION).unwrap().split_first_chunk::<HEADER_SIZE>().unwrap();
    let header = Header::from_bytes(header);
    assert_eq!((header.name_bytes(), header.version_minor, header.flags), (&b"test"[..], 2, FLAG_INIT));
    assert_eq!((header.services, header.stack_size, header.heap_size), (SERVICE_LOG, 4096, 0));
    assert!(FINGERPRINTS.contains(&header.abi_fingerprint), "{:#x}", header.abi_fingerprint);
    assert_eq!((header.machine, header.cpu_level, header.record_size, header.checksum), (0, 0, 0, 0));
    assert_eq!(records, [1, 0, 0, 0x80, 4, 0, 0, 0, 5, 0, 0, 0]);
    let names: Vec<_> = wasm.sections.iter().map(|section| section.name).filter(|name| !name.is_empty()).collect();
    assert_eq!(names, [SECTION, "name"]);
    assert_eq!((wasm.name_of(1), wasm.exported_function(portable::ENTRY)), (Some("one::two"), Some(1)));
    assert_eq!(pack_portable(&file().bytes(), &wanted).unwrap(), bytes);
    let stripped = pack_portable(&file().bytes(), &Settings { strip: true, ..wanted }).unwrap();
    assert_eq!(Wasm::read(&stripped).unwrap().custom("name"), None);
}

#[test]
fn limits_the_memory_to_what_is_needed() {
    let pages = |file: &File, heap_size| {
        let bytes = pack_portable(&file.bytes(), &Settings { heap_size, ..settings() }).unwrap();
        Wasm::read(&bytes).unwrap().memory.unwrap()
    };
    assert_eq!(pages(&file(), 1 << 20), Memory { initial: 2, maximum: Some(2) });
    let mut allocates = file();
    allocates.descriptor.as_mut().unwrap().flags = FLAG_ACCOUNT | FLAG_REENTRANT;
    assert_eq!(pages(&allocates, (1 << 20) + 1).maximum, Some(2 + 17));
    assert_eq!(pages(&allocates, u32::MAX).maximum, Some(MAX_MEMORY_PAGES));
    let bytes = pack_portable(&allocates.bytes(), &settings()).unwrap();
    let header = Header::from_bytes(Wasm::read(&bytes).unwrap().custom(SECTION).unwrap().first_chunk().unwrap());
    assert_eq!(header.flags, FLAG_ACCOUNT);
}

#[test]
fn rejects_imports_that_no_engine_provides() {
    let error = |module, name| File { import: (module, name), ..file() }.error();
    let not_provided = |module: &str, name: &str| PackError::NotProvided { module: module.into(), name: name.into() };
    assert_eq!(error("wasi_snapshot_preview1", "fd_write"), not_provided("wasi_snapshot_preview1", "fd_write"));
    assert_eq!(error("bareflow", "print"), not_provided("bareflow", "print"));
    // It is there, with other types.
    assert_eq!(error("bareflow", "clock"), not_provided("bareflow", "clock"));
    assert!(error("bareflow", "print").to_string().contains("expected one of bareflow: input_length, "));
    assert_eq!(error("env", "strlen"), PackError::UndefinedSymbols { symbols: vec!["strlen".to_owned()] });
    assert_eq!(error("env", "bareflow_entry"), PackError::MissingEntry);
}

#[test]
fn rejects_what_is_no_module() {
    let part = |bytes: &[u8]| match pack_portable(bytes, &settings()) {
        Err(PackError::NotWasm { part }) => part,
        other => panic!("{other:?}"),
    };
    let whole = file().bytes();
    assert_eq!(part(b"no wasm"), "a file, by its first bytes");
    assert_eq!(part(&whole[..whole.len() - 1]), "a section");
    assert_eq!(part(b"\0asm\x01\0\0\0\x02\x01\x05"), "the section of imports");
    assert_eq!(File { export: "run", ..file() }.error(), PackError::MissingEntry);
    assert_eq!(File { descriptor: None, ..file() }.error(), PackError::MissingDescriptor);
    let constructors = PackError::UnknownSection { section: ".init_array".to_owned() };
    assert_eq!(File { function_name: "x.command_export", ..file() }.error(), constructors);
    let descriptor = Descriptor { abi_minor: 99, ..file().descriptor.unwrap() };
    let foreign = PackError::ForeignAbi { found: (ABI_MAJOR, 99), fingerprint: 7 };
    assert_eq!(File { descriptor: Some(descriptor), ..file() }.error(), foreign);
}

#[test]
fn rejects_shared_memory() {
    const METHODS: &[Method] = &[Method { fingerprint: 7, shape: Shape::new(true, &[ArgumentKind::Text]) }];
    const REGIONS: &[NewEntry] =
        &[NewEntry { role: Role::Import, name: "regions", interface: "regions", version: (1, 0), methods: METHODS }];
    let bindings = encode::<{ encoded_size(REGIONS) }>(REGIONS).to_vec();
    let error = File { bindings, ..file() }.error();
    assert_eq!(error, PackError::OutsideMemory { interface: "regions" });
}

#[test]
fn takes_what_is_made_elsewhere_if_it_has_something_to_call() {
    let check = |export| check_portable(&Wasm::read(&File { export, ..file() }.bytes()).unwrap());
    assert_eq!((check("run"), check("bareflow_entry")), (Ok(()), Ok(())));
    assert_eq!(check("main"), Err(PackError::NothingExported));
}
