//! The workspace around the current folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use bareflow_builder::subprocess::{command, output};
use bareflow_builder::toolchain::cargo;
use toml_edit::DocumentMut;

/// Returns the `Cargo.toml` of the workspace around the current folder.
///
/// As for cargo, this is the first one with a `[workspace]` table. It must have a folder `modules`, which contains
/// crates unless the manifest is a virtual one.
///
/// # Errors
/// When there is none.
pub fn workspace_manifest() -> Result<PathBuf> {
    let here = std::env::current_dir()?;
    workspace_around(&here).ok_or_else(|| {
        let here = here.display();
        anyhow!("no workspace with a folder `modules` at or above {here}; change to one, or name the folder of a crate")
    })
}

fn workspace_around(here: &Path) -> Option<PathBuf> {
    let table = |manifest: &Path, name: &str| {
        let document: Option<DocumentMut> = fs::read_to_string(manifest).ok().and_then(|text| text.parse().ok());
        document.is_some_and(|document| document.contains_key(name))
    };
    let manifest =
        here.ancestors().map(|folder| folder.join("Cargo.toml")).find(|manifest| table(manifest, "workspace"))?;
    let entries = fs::read_dir(manifest.with_file_name("modules")).ok()?;
    let has_crates = entries.flatten().any(|entry| entry.path().join("Cargo.toml").is_file());
    // A package that is its own workspace may have a folder `modules` for anything.
    (has_crates || !table(&manifest, "package")).then_some(manifest)
}

/// Adds a new crate or version to the lock file, which builds require, as they run with `--locked`.
///
/// # Errors
/// When cargo can't update it.
pub fn enter_into_lock_file(manifest: &Path) -> Result<()> {
    let mut update = command(cargo());
    update.args(["update", "--workspace", "--offline", "--manifest-path"]).arg(manifest);
    let said = output(&mut update)?;
    if said.status.success() {
        return Ok(());
    }
    Err(anyhow!("can't enter the module into Cargo.lock: {}", String::from_utf8_lossy(&said.stderr).trim_end()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_workspace_is_cargos_and_has_modules() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let write = |path: &str, text: &str| {
            std::fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            std::fs::write(at(path), text).unwrap();
        };
        // Neither an ordinary package with a folder `modules` is a workspace, nor a standalone crate inside it.
        write("kernel/Cargo.toml", "[package]\nname = \"kernel\"\n");
        write("kernel/modules/net/Cargo.toml", "[package]\nname = \"net\"\n\n[workspace]\n");
        write("kernel/modules/net/modules/net.mod", "");
        assert_eq!(super::workspace_around(&at("kernel")), None);
        assert_eq!(super::workspace_around(&at("kernel/modules/net")), None);
        // A workspace for modules may still be empty.
        write("plain/Cargo.toml", "[workspace]\n");
        assert_eq!(super::workspace_around(&at("plain")), None);
        std::fs::create_dir(at("plain/modules")).unwrap();
        assert_eq!(super::workspace_around(&at("plain/modules")), Some(at("plain/Cargo.toml")));
        write("both/Cargo.toml", "[package]\nname = \"both\"\n\n[workspace]\n");
        write("both/modules/sum/Cargo.toml", "[package]\n");
        assert_eq!(super::workspace_around(&at("both/modules/sum")), Some(at("both/Cargo.toml")));
    }
}
