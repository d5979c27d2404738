//! A workspace of its own for tests.

use std::fs;
use std::path::Path;

use super::root;

/// Makes a workspace with the settings of this one, whose modules use its `abi`.
pub fn workspace(folder: &Path) {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let table = |name: &str| {
        let lines = manifest.lines().skip_while(|line| *line != name);
        lines.take_while(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect::<String>()
    };
    let settings = ["[workspace.package]", "[workspace.lints.rust]", "[workspace.lints.clippy]"].map(table).concat();
    let abi = format!("[workspace.dependencies]\nbareflow-abi = {{ path = {:?} }}\n", root().join("abi"));
    fs::write(
        folder.join("Cargo.toml"),
        format!("[workspace]\nresolver = \"3\"\nmembers = [\"modules/*\"]\n{settings}{abi}"),
    )
    .unwrap();
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    fs::create_dir_all(folder.join("modules")).unwrap();
}
