//! Building of modules as WebAssembly, for the tests.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::path::PathBuf;
use std::process::Command;

use bareflow_builder::discover::{ModuleCrate, module_at};
use bareflow_builder::{Blob, BuildError, build_module};
use bareflow_guests::Guest;

/// Returns the root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Returns the crate in a folder of the repository, as a portable module.
pub fn portable(folder: &str) -> ModuleCrate {
    let mut module = module_at(&root().join(folder).join("Cargo.toml")).unwrap();
    module.settings.portable = true;
    module.target = root().join("target");
    module
}

/// Returns whether there is a compiler of C for WebAssembly. Says so if there is none, and fails where one is installed for
/// that: in CI.
pub fn has_clang() -> bool {
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|said| said.status.success());
    let missing: Vec<_> = ["clang", "wasm-ld"].into_iter().filter(|program| !has(program)).collect();
    assert!(missing.is_empty() || std::env::var_os("CI").is_none(), "no {}", missing.join(", "));
    if !missing.is_empty() {
        println!("not tested, without {}: run `apt-get install clang lld`", missing.join(" and "));
    }
    missing.is_empty()
}

/// Builds the crate in a folder.
pub fn try_build(folder: &str) -> Result<Blob, BuildError> {
    build_module(&portable(folder), &root().join("target/guests"))
}

/// Builds the crate in a folder as a native module.
pub fn native(folder: &str) -> Vec<u8> {
    let module =
        ModuleCrate { target: root().join("target"), ..module_at(&root().join(folder).join("Cargo.toml")).unwrap() };
    build_module(&module, &root().join("target/guests")).unwrap_or_else(|error| panic!("{folder}: {error}")).bytes
}

/// Builds the crate in a folder, and makes an instance.
pub fn guest(folder: &str) -> Guest {
    let blob = try_build(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    assert!(blob.path.ends_with(format!("{}.wasm", blob.name)));
    Guest::new(&blob.bytes).unwrap_or_else(|error| panic!("{folder}: {error}"))
}
