//! Names of functions: in blobs, at faults, and beside the disassembly.

mod common;

use std::path::PathBuf;

use bareflow_abi::checksum::Crc32c;
use bareflow_abi::record::SYMBOLS;
use bareflow_abi::symbols::Symbols;
use bareflow_builder::discover::module_at;
use bareflow_builder::{CodegenOptions, build_module, build_with};
use bareflow_loader::records::Records;
use bareflow_loader::valid::Capabilities;
use bareflow_loader::{RawModule, ValidModule};
use common::{assert_code, bareflow, blob, root, test_blob, text};
use serde_json::Value;

fn json(path: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Returns the number of records of symbols.
fn count(bytes: &[u8]) -> usize {
    let raw = RawModule::parse(bytes).unwrap();
    Records::new(raw.records).flatten().filter(|record| record.kind == SYMBOLS).count()
}

#[test]
fn a_fault_names_its_function_in_every_place() {
    for (command, domain) in [("host", "kernel"), ("host", "user"), ("boot", "kernel"), ("boot", "user")] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let words = [command, "--domain", domain, "--input", "recursion", "--json"].map(PathBuf::from);
        let output = bareflow(words.into_iter().chain([path.clone(), test_blob("faults")]));
        assert_code(&output, 1);
        let shown = text(&output);
        let fault = &json(&path)["modules"][4]["fault"];
        let function = fault["function"].as_str().unwrap_or_else(|| panic!("{command} {domain} {fault}\n{shown}"));
        assert!(function.starts_with("faults::") && function.contains("+0x"), "{function}");
        assert!(shown.contains(&format!("\n  in {function}\n")), "{shown}");
        // The fault lies within the function's offset and size in the blob.
        let bytes = std::fs::read(test_blob("faults")).unwrap();
        let raw = RawModule::parse(&bytes).unwrap();
        let list = Records::new(raw.records).flatten().find(|record| record.kind == SYMBOLS).unwrap().bytes;
        let symbol = Symbols::find(list, fault["offset"].as_u64().unwrap()).unwrap();
        assert_eq!(function.split_once('+').map(|(name, _)| name), Some(symbol.name));
    }
}

#[test]
fn inspect_lists_symbols_and_labels_the_disassembly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inspection.json");
    let output = bareflow(["inspect".into(), test_blob("faults"), "--json".into(), path.clone()]);
    assert_code(&output, 0);
    let (shown, inspection) = (text(&output), json(&path));
    let symbols = inspection["symbols"].as_array().unwrap();
    assert!(symbols.len() > 20, "{symbols:?}");
    let total: u64 = symbols.iter().map(|symbol| symbol["size"].as_u64().unwrap()).sum();
    assert!(total <= inspection["segments"][0]["size"].as_u64().unwrap());
    for symbol in symbols {
        let (name, offset) = (symbol["name"].as_str().unwrap(), symbol["offset"].as_str().unwrap());
        assert!(!name.starts_with("_ZN") && !name.starts_with("_R"), "{name} is mangled");
        assert!(shown.contains(&format!("\n{name}:\n")) && shown.contains(&format!("  {name}\n")), "{name}");
        let labelled = inspection["disassembly"].as_array().unwrap().iter().filter(|line| line["function"] == name);
        assert!(labelled.into_iter().any(|line| line["offset"] == offset), "{name} at {offset}");
    }
    assert!(shown.lines().any(|line| line.contains("call 0x") && line.contains("  ; ")), "{shown}");
}

#[test]
fn each_variant_has_the_names_of_its_own_code() {
    let module = module_at(&root().join("tests/modules/heap/Cargo.toml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let codegen = |cpu_level| CodegenOptions { cpu_level, opt_level: "2".to_owned(), profile: None };
    let bytes = build_with(&module, &[1, 3].map(codegen), folder.path()).unwrap().bytes;
    let raw = RawModule::parse(&bytes).unwrap();
    for cpu_level in [1, 3] {
        let valid =
            ValidModule::validate(raw, Capabilities { services: 0, cpu_level, checksum: Crc32c::SOFTWARE }).unwrap();
        let code = valid.code();
        assert_eq!(code.header.level, cpu_level);
        // The entry is listed under its name, at the offset in the code's header.
        let entry = Symbols::find(valid.symbols(), code.header.entry.into()).unwrap();
        assert_eq!((entry.name, entry.offset), ("bareflow_entry", code.header.entry));
        assert_eq!(Symbols::check(valid.symbols(), code.header.text_size), Ok(()));
    }
    assert_eq!(count(&bytes), 2);
}

#[test]
fn stripped_blobs_name_nothing_and_are_otherwise_the_same() {
    let manifest = root().join("tests/modules/vectors/Cargo.toml");
    let mut module = module_at(&manifest).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let named = build_module(&module, folder.path()).unwrap().bytes;
    module.settings.strip = true;
    let stripped = build_module(&module, folder.path()).unwrap().bytes;
    assert_eq!(count(&stripped), 0);
    let (named, stripped) = (RawModule::parse(&named).unwrap(), RawModule::parse(&stripped).unwrap());
    assert_eq!((named.code.text, named.code.rodata), (stripped.code.text, stripped.code.rodata));
    // A module whose only function is the entry has nothing to name.
    for name in ["fibonacci", "sum", "primes", "compute"] {
        assert_eq!(count(&std::fs::read(blob(name)).unwrap()), 0, "{name}");
    }
    let all = std::fs::read(test_blob("faults")).unwrap();
    assert_eq!(count(&all), 1);
}
