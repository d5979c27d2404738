//! The `new` command: makes a module crate that builds as it is.

use std::fs;
use std::path::{Path, PathBuf};

use bareflow_builder::discover::is_bareflows_own;
use bareflow_builder::run::{command, output};
use bareflow_builder::toolchain::cargo;
use bareflow_loader::Name;
use toml_edit::DocumentMut;

use crate::options::NewOptions;
use crate::{BoxError, Exit, say, standalone};

/// Keywords of the 2024 edition, which can't be function names, and the crates that come with the compiler.
const RESERVED: &str = "abstract as async await become box break const continue crate do dyn else enum extern false \
    final fn for gen if impl in let loop macro match mod move mut override priv pub ref return self static struct \
    super trait true try type typeof unsafe unsized use virtual where while yield alloc core proc_macro std test";

/// Runs the command.
///
/// # Errors
/// When the name can't be a module's, or the crate can't be made.
pub fn new(options: &NewOptions) -> Result<Exit, BoxError> {
    let name = options.name.as_str();
    if options.standalone {
        return standalone::new(name);
    }
    check_name(name)?;
    let alone =
        |problem: BoxError| format!("{problem}; or `bareflow new --standalone {name}`, which needs no workspace");
    let manifest = workspace_manifest().map_err(alone)?;
    let root = manifest.parent().unwrap_or(Path::new("."));
    if !fs::read_to_string(&manifest)?.contains("bareflow-abi") {
        let root = root.display();
        return Err(format!(
            "the workspace at {root} has no bareflow-abi among its dependencies; `bareflow new --standalone {name}` makes a \
             module that brings its own"
        )
        .into());
    }
    let folder = manifest.with_file_name("modules").join(name);
    if folder.exists() {
        return Err(format!("{} is there already; choose another name or remove it", folder.display()).into());
    }
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

fn create(name: &str, folder: &Path) -> Result<(), BoxError> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), manifest_text(name))?;
    Ok(fs::write(folder.join("src/lib.rs"), source_text(name))?)
}

/// Returns the `Cargo.toml` of the workspace around the current folder.
///
/// As for cargo, this is the first one with a `[workspace]` table. It must have a folder `modules`, which contains
/// crates unless the manifest is a virtual one.
///
/// # Errors
/// When there is none.
pub fn workspace_manifest() -> Result<PathBuf, BoxError> {
    let here = std::env::current_dir()?;
    workspace_around(&here).ok_or_else(|| {
        let here = here.display();
        format!("no workspace with a folder `modules` at or above {here}; change to one, or name the folder of a crate")
            .into()
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

pub(crate) fn check_name(name: &str) -> Result<(), BoxError> {
    if Name::new(name).is_none() || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        let rule = "expected a letter, then a-z, 0-9, _ and -, at most 31 in all";
        return Err(format!("\"{name}\" can't be a module's name: {rule}").into());
    }
    if RESERVED.split_whitespace().any(|word| word == name.replace('-', "_")) {
        return Err(format!("\"{name}\" can't be a module's name: Rust keeps it for itself; choose another").into());
    }
    Ok(())
}

/// Adds a new crate or version to the lock file, which builds require, as they run with `--locked`.
///
/// # Errors
/// When cargo can't update it.
pub fn enter_into_lock_file(manifest: &Path) -> Result<(), BoxError> {
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
