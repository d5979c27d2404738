//! The `new --standalone` command: makes a module crate that can lie anywhere.
//!
//! The crate contains the source of `bareflow-abi`, against which it is compiled. It can therefore be moved, given away
//! and built by anyone who has `bareflow`, without a registry, this repository or a path of the author's machine.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::template::{check_name, source_text};
use crate::{Exit, embedded, say};

/// Makes the crate in a new folder, whose last part is the module's name.
///
/// # Errors
/// When the name can't be a module's, or the crate can't be made; then nothing is left of it.
pub(crate) fn new(path: &str) -> Result<Exit> {
    let folder = PathBuf::from(path);
    let name = folder.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{path} does not end in a name; expected a folder such as ./answer"))?;
    check_name(name)?;
    ensure!(!folder.exists(), "{path} is there already; choose another name or remove it");
    if let Err(problem) = create(name, &folder) {
        // An incomplete crate is of no use, and the folder did not exist before.
        let _ = fs::remove_dir_all(&folder);
        bail!("can't make {path}: {problem}");
    }
    say!("made {path}");
    say!("next: `cargo test` in it, `bareflow build {path}`, `bareflow test {path}`");
    Ok(Exit::Passed)
}

fn create(name: &str, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), manifest_text(name))?;
    fs::write(folder.join(".gitignore"), "/target\n")?;
    fs::write(folder.join("src/lib.rs"), source_text(name))?;
    for entry in tar::Archive::new(embedded::ABI).entries()? {
        let mut entry = entry?;
        let path = folder.join("bareflow-abi").join(entry.path()?);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::io::copy(&mut entry, &mut fs::File::create(path)?)?;
    }
    Ok(())
}

fn manifest_text(name: &str) -> String {
    format!(
        r#"[package]
name = "{name}"
description = "What {name} does, in a sentence"
version = "0.1.0"
edition = "2024"
rust-version = "{rust_version}"
publish = false

[dependencies]
bareflow-abi = {{ path = "bareflow-abi" }}

[lints.rust]
unexpected_cfgs = {{ level = "warn", check-cfg = ["cfg(bareflow_module)"] }}

[package.metadata.bareflow]
needs = ["log"]
# heap = "64K"        # with the feature "alloc" of bareflow-abi: Vec and its kin
# opt-level = 2       # 1, 2, 3, "s" or "z"

# A call, and what must come of it: `bareflow test` tries it.
[[package.metadata.bareflow.example]]
input = "hello"
output = "hello"
result = 5

# A workspace of its own, whatever lies around it.
[workspace]
"#,
        rust_version = env!("CARGO_PKG_RUST_VERSION"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_bad_paths_and_keeps_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| new(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(error(Path::new("/")).contains("does not end in a name"));
        assert!(error(&folder.path().join("Upper")).contains("can't be a module's name"));
        let there = folder.path().join("there");
        fs::create_dir(&there).unwrap();
        assert!(error(&there).contains("is there already"));
        let file = folder.path().join("file");
        fs::write(&file, "kept").unwrap();
        assert!(error(&file.join("answer")).starts_with("can't make "));
        assert_eq!(fs::read(&file).unwrap(), b"kept");
    }
}
