//! `new`: a module crate that builds as it stands.

use std::fs;
use std::path::{Path, PathBuf};

use bareflow_builder::run::{command, output};
use bareflow_builder::toolchain::cargo;
use bareflow_loader::Name;

use crate::options::NewOptions;
use crate::{Ended, Problem, say, standalone};

/// Keywords of the 2024 edition, which no function can be called, and the crates that come with the compiler.
const RESERVED: &str = "abstract as async await become box break const continue crate do dyn else enum extern false \
    final fn for gen if impl in let loop macro match mod move mut override priv pub ref return self static struct \
    super trait true try type typeof unsafe unsized use virtual where while yield alloc core proc_macro std test";

/// Carries the command out.
///
/// # Errors
/// When the name can't be a module's, or the crate can't be made.
pub fn new(options: &NewOptions) -> Result<Ended, Problem> {
    let name = options.name.as_str();
    if options.standalone {
        return standalone::new(name);
    }
    check_name(name)?;
    let manifest = workspace_manifest()?;
    let folder = manifest.with_file_name("modules").join(name);
    if folder.exists() {
        return Err(format!("{} is there already; choose another name or remove it", folder.display()).into());
    }
    if let Err(problem) = create(name, &folder).and_then(|()| enter_into_lock_file(&manifest)) {
        // Half a crate would stop every build of the workspace.
        let _ = fs::remove_dir_all(&folder);
        return Err(problem);
    }
    say!("made {}", folder.display());
    say!("next: `cargo test -p {name}`, `cargo run -- build {name}`, `cargo run -- boot --input hello`");
    Ok(Ended::Passed)
}

fn create(name: &str, folder: &Path) -> Result<(), Problem> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), manifest_text(name))?;
    Ok(fs::write(folder.join("src/lib.rs"), source_text(name))?)
}

/// The `Cargo.toml` of the workspace around the current folder: the one beside `modules/`.
///
/// # Errors
/// When there is none.
pub fn workspace_manifest() -> Result<PathBuf, Problem> {
    let here = std::env::current_dir()?;
    let is_root = |folder: &&Path| folder.join("Cargo.toml").is_file() && folder.join("modules").is_dir();
    let root = here.ancestors().find(is_root);
    let missing = || {
        let here = here.display();
        format!("no workspace with a folder `modules` at or above {here}; change to one, or name the folder of a crate")
    };
    Ok(root.ok_or_else(missing)?.join("Cargo.toml"))
}

pub(crate) fn check_name(name: &str) -> Result<(), Problem> {
    if Name::new(name).is_none() || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        let rule = "expected a letter, then a-z, 0-9, _ and -, at most 31 in all";
        return Err(format!("\"{name}\" can't be a module's name: {rule}").into());
    }
    if RESERVED.split_whitespace().any(|word| word == name.replace('-', "_")) {
        return Err(format!("\"{name}\" can't be a module's name: Rust keeps it for itself; choose another").into());
    }
    Ok(())
}

/// Builds run with `--locked`, so a crate that is new, or of a new version, has to be in the lock file before.
///
/// # Errors
/// When cargo can't enter it.
pub fn enter_into_lock_file(manifest: &Path) -> Result<(), Problem> {
    let mut update = command(cargo());
    update.args(["update", "--workspace", "--offline", "--manifest-path"]).arg(manifest);
    let said = output(&mut update)?;
    if said.status.success() {
        return Ok(());
    }
    Err(format!("can't enter the module into Cargo.lock: {}", String::from_utf8_lossy(&said.stderr).trim_end()).into())
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

pub(crate) fn source_text(name: &str) -> String {
    let function = name.replace('-', "_");
    format!(
        r#"//! What {name} does.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;

bareflow_abi::module!({function});

/// Copies the input to the output and returns how many bytes that were.
pub fn {function}(context: &mut Context<'_>) -> i32 {{
    context.log("{name} runs");
    let mut count = 0;
    while let Some(&byte) = context.input().get(count) {{
        if context.write(&[byte]) == 0 {{
            break;
        }}
        count += 1;
    }}
    i32::try_from(count).unwrap_or(i32::MAX)
}}

#[cfg(test)]
mod tests {{
    use bareflow_abi::{{Context, Services}};

    extern "C" fn log(_: *mut Context<'_>, _: *const u8, _: usize) {{}}

    extern "C" fn clock(_: *mut Context<'_>) -> u64 {{
        0
    }}

    #[test]
    fn copies_what_fits() {{
        let services = Services::new(log, clock);
        let mut output = [0; 4];
        let mut context = Context::new(&services, b"hello", &mut output);
        assert_eq!(super::{function}(&mut context), 4);
        assert_eq!(&output, b"hell");
    }}
}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn rejects_bad_names() {
        for name in ["", "Upper", "9lives", "-x", "a/b", "a-name-of-thirty-two-bytes-is-too"] {
            assert!(check_name(name).unwrap_err().to_string().contains("expected"), "{name}");
        }
        for name in ["loop", "self", "core"] {
            assert!(check_name(name).unwrap_err().to_string().contains("Rust keeps it"), "{name}");
        }
        assert!(check_name("sort-2_x").is_ok());
    }
}
