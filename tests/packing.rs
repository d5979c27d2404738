//! Packing: what can't be packed stops the build, with an error that names the crate, the symbol and the remedy; what
//! can be packed gives the same bytes every time.

mod common;

use bareflow_builder::discover::module_at;
use bareflow_builder::{BuildError, CodegenOptions, build_module, build_with};
use bareflow_loader::RawModule;
use bareflow_packer::PackError;
use common::{root, test_blob};

/// Builds a crate below `tests/refused`, and returns the error and its text.
fn refusal(name: &str) -> (PackError, String) {
    let manifest = root().join("tests/refused").join(name).join("Cargo.toml");
    let mut module = module_at(&manifest).unwrap();
    module.target = root().join("target/refused");
    let folder = tempfile::tempdir().unwrap();
    let error = build_module(&module, folder.path()).unwrap_err();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    let text = error.to_string();
    assert!(text.contains(&module.name), "{text}");
    match error {
        BuildError::Pack { error, .. } => (error, text),
        other => panic!("{other}"),
    }
}

#[test]
fn rejects_undefined_symbols() {
    let (error, text) = refusal("undefined-symbol");
    assert_eq!(error, PackError::UndefinedSymbols { symbols: vec!["nowhere_to_be_found".to_owned()] });
    assert!(text.contains("define it in the crate"), "{text}");
    assert!(text.contains("\n  nowhere_to_be_found is needed by bareflow_entry"), "{text}");
}

#[test]
fn rejects_thread_local_storage() {
    let (error, text) = refusal("thread-local");
    assert_eq!(error, PackError::ThreadLocal { symbol: "per_thread".to_owned() });
    assert!(text.contains("ordinary static"), "{text}");
}

#[test]
fn rejects_other_relocations() {
    let (error, text) = refusal("relocation");
    let PackError::Relocation { kind, section, .. } = error else { panic!("{error}") };
    assert_eq!((kind, section.as_str()), (37, ".rodata"), "R_X86_64_IRELATIVE in a table of constants");
    assert!(text.contains("expected only R_X86_64_RELATIVE"), "{text}");
}

#[test]
fn rejects_a_missing_entry() {
    let (error, text) = refusal("missing-entry");
    assert_eq!(error, PackError::MissingEntry);
    assert!(text.contains("bareflow_abi::module!"), "{text}");
}

#[test]
fn rejects_a_name_over_31_bytes() {
    let (error, text) = refusal("long-name");
    assert_eq!(error, PackError::Name { found: "a-name-of-thirty-two-bytes-is-too".to_owned() });
    assert!(text.contains("Cargo.toml"), "{text}");
}

#[test]
fn rejects_constructors() {
    let (error, _) = refusal("constructor");
    assert_eq!(error, PackError::UnknownSection { section: ".init_array".to_owned() });
}

#[test]
fn packs_the_same_bytes_again() {
    for name in ["all-in-one", "vectors"] {
        let first = std::fs::read(test_blob(name)).unwrap();
        let manifest = root().join("tests/modules").join(name).join("Cargo.toml");
        let mut module = module_at(&manifest).unwrap();
        module.target = tempfile::tempdir().unwrap().keep();
        let folder = module.target.join("blobs");
        let again = build_module(&module, &folder).unwrap();
        std::fs::remove_dir_all(&module.target).unwrap();
        assert!(first == again.bytes, "{name}: built in another folder, the blob has other bytes");
    }
}

#[test]
fn keeps_only_variants_that_differ() {
    let manifest = root().join("modules/sum/Cargo.toml");
    let module = module_at(&manifest).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let codegen = |cpu_level| CodegenOptions { cpu_level, opt_level: "2".to_owned(), profile: None };
    let blob = build_with(&module, &[1, 3].map(codegen), folder.path()).unwrap();
    let raw = RawModule::parse(&blob.bytes).unwrap();
    assert_eq!((raw.records.len(), blob.bytes.len()), (0, 134), "one constant is the same for all");
}
