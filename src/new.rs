//! The `new` command: makes a module crate that builds as it is.

use std::fs;
use std::path::Path;

use anyhow::{Error, Result, anyhow, bail, ensure};
use bareflow_builder::discover::is_bareflows_own;

use crate::options::NewOptions;
use crate::template::{check_name, source_text};
use crate::workspace::{enter_into_lock_file, workspace_manifest};
use crate::{Exit, say, standalone};

/// Runs the command.
///
/// # Errors
/// When the name can't be a module's, or the crate can't be made.
pub fn new(options: &NewOptions) -> Result<Exit> {
    let name = options.name.as_str();
    if options.standalone {
        return standalone::new(name);
    }
    check_name(name)?;
    let alone = |problem: Error| anyhow!("{problem}; or `bareflow new --standalone {name}`, which needs no workspace");
    let manifest = workspace_manifest().map_err(alone)?;
    let root = manifest.parent().unwrap_or(Path::new("."));
    if !fs::read_to_string(&manifest)?.contains("bareflow-abi") {
        let root = root.display();
        bail!(
            "the workspace at {root} has no bareflow-abi among its dependencies; `bareflow new --standalone {name}` makes a \
             module that brings its own"
        );
    }
    let folder = manifest.with_file_name("modules").join(name);
    ensure!(!folder.exists(), "{} is there already; choose another name or remove it", folder.display());
    if let Err(problem) = create(name, &folder).and_then(|()| enter_into_lock_file(&manifest)) {
        // An incomplete crate would break every build of the workspace.
        let _ = fs::remove_dir_all(&folder);
        return Err(problem);
    }
    say!("made {}", folder.display());
    let command = if is_bareflows_own(root) { "cargo run --" } else { "bareflow" };
    say!("next: `cargo test -p {name}`, `{command} build {name}`, `{command} boot --input hello`");
    Ok(Exit::Passed)
}

fn create(name: &str, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), manifest_text(name))?;
    Ok(fs::write(folder.join("src/lib.rs"), source_text(name))?)
}

fn manifest_text(name: &str) -> String {
    format!(
        r#"[package]
name = "{name}"
description = "What {name} does, in a sentence"
version = "0.1.0"
edition.workspace = true
rust-version.workspace = true
license.workspace = true
repository.workspace = true

[lints]
workspace = true

[dependencies]
bareflow-abi.workspace = true

[package.metadata.bareflow]
needs = ["log"]
# expect = 0          # what a run should return
# opt-level = 2       # 1, 2, 3, "s" or "z"
"#
    )
}
