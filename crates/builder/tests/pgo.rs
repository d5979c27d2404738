//! Running a module for its profile, and compiling it with that profile.

use std::path::Path;

use bareflow_builder::discover::module_at;
use bareflow_builder::pgo::profile;
use bareflow_builder::{CodegenOptions, build_module, build_with};

#[test]
fn compiles_with_what_was_seen_or_says_what_is_missing() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/modules/all-in-one/Cargo.toml");
    let mut module = module_at(&manifest).unwrap();
    let folder = tempfile::tempdir().unwrap();
    module.target = folder.path().join("target");
    let plain = build_module(&module, folder.path()).unwrap();
    let seen = match profile(&module, &plain.bytes, b"hello", 3) {
        Ok(seen) => seen,
        Err(missing) => {
            assert!(missing.contains("llvm-profdata") || missing.contains("objcopy"), "{missing}");
            return println!("{missing}");
        }
    };
    let codegen = CodegenOptions { cpu_level: 1, opt_level: "2".to_owned(), profile: Some(seen) };
    let with_profile = build_with(&module, &[codegen], folder.path()).unwrap();
    assert!(plain.bytes != with_profile.bytes, "the profile changes nothing");
}
