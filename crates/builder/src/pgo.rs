//! Profiles of a module's code, for profile-guided optimisation.
//!
//! The module is compiled with counters, linked into an ordinary program (`profile_driver/main.rs`) and called there;
//! `llvm-profdata` merges the counts into one file. Writing counters needs files and thus an operating system, which a
//! module in a kernel does not have.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bareflow_abi::header::{FLAG_INIT, Header};

use crate::compile::{Machine, compile};
use crate::discover::ModuleCrate;
use crate::error::BuildError;
use crate::settings::CodegenOptions;
use crate::subprocess::{command, output, write_if_changed};
use crate::toolchain::{Flavor, cargo, linker, tools};

/// The source of the program that the module is linked into.
const DRIVER: &str = include_str!("../profile_driver/main.rs");

/// The reason why a module can't be profiled.
pub type MissingTool = String;

/// Runs the module of `blob`, built from `module`, on `input` for `calls` calls, and returns the path of the profile.
///
/// # Errors
/// The missing tool, or the message of one that failed.
pub fn profile(module: &ModuleCrate, blob: &[u8], input: &[u8], calls: u32) -> Result<PathBuf, MissingTool> {
    let folder = module.target.join("tune").join(&module.name);
    // The counts of an earlier run would be added again.
    let raw = folder.join("counted");
    let _ = fs::remove_dir_all(&raw);
    let object = instrumented(module, &folder).map_err(|error| error.to_string())?;
    let driver = profile_driver(module, &folder, &object).map_err(|error| error.to_string())?;
    let header = blob.first_chunk().map(Header::from_bytes).unwrap_or_default();
    let input_file = folder.join("input");
    write_if_changed(&input_file, input).map_err(|error| error.to_string())?;
    let mut run = command(&driver);
    run.arg(&input_file)
        .args([calls, header.heap_size, u32::from(header.flags & FLAG_INIT != 0)].map(|number| number.to_string()));
    run.env("LLVM_PROFILE_FILE", raw.join("%p.profraw"));
    run_captured(&mut run, "the module, run as a program,").map_err(|error| error.to_string())?;
    merge(&raw, &folder.join("runs.profdata"))
}

/// Compiles the module with counters into one object that exports only the entry.
fn instrumented(module: &ModuleCrate, folder: &Path) -> Result<PathBuf, BuildError> {
    let codegen = CodegenOptions { cpu_level: 1, opt_level: "2".to_owned(), profile: None };
    let build = module.target.join("module-build/counting");
    let library = compile(module, Machine::Native, &codegen, &build, &["-Cprofile-generate"])?;
    let object = folder.join("module.o");
    fs::create_dir_all(folder).map_err(|error| BuildError::File { path: folder.to_owned(), action: "make", error })?;
    let mut lld = linker(Flavor::Elf)?;
    lld.args(["-r", "-u", "bareflow_entry", "-u", "__llvm_profile_runtime"]).arg(&library).arg("-o").arg(&object);
    run_captured(&mut lld, "the linker")?;
    // The module has its own `memcpy`, allocator and panic handler, and the program has others.
    // A tool may be there but not work, such as a rust-objcopy without its libraries; then the next one is tried.
    let mut failed = BuildError::Tool {
        tool: "objcopy".to_owned(),
        reason: "it is not here; install the package binutils".to_owned(),
    };
    for objcopy in tools("objcopy") {
        match run_captured(command(objcopy).arg("--keep-global-symbol=bareflow_entry").arg(&object), "objcopy") {
            Ok(_) => return Ok(object),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Builds the program that calls the module.
fn profile_driver(module: &ModuleCrate, folder: &Path, object: &Path) -> Result<PathBuf, BuildError> {
    let abi = module.abi.as_ref().ok_or_else(|| BuildError::Metadata {
        reason: format!("{} has no bareflow-abi in a folder to build against", module.name),
    })?;
    let package = folder.join("profile_driver");
    let manifest = format!(
        "[package]\nname = \"profile_driver\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\nbareflow-abi = {{ path = {abi:?} }}\n"
    );
    write_if_changed(&package.join("Cargo.toml"), manifest.as_bytes())?;
    write_if_changed(&package.join("src/main.rs"), DRIVER.as_bytes())?;
    let lock = module.root.join("Cargo.lock");
    if lock.is_file() && !package.join("Cargo.lock").is_file() {
        write_if_changed(&package.join("Cargo.lock"), &crate::subprocess::read(&lock)?)?;
    }
    let mut link = OsString::from("--cfg=bareflow_driver\x1f-Clink-arg=");
    link.push(object);
    let mut build = command(cargo());
    build.args(["build", "--release", "--offline", "--manifest-path"]).arg(package.join("Cargo.toml"));
    build.arg("--target-dir").arg(package.join("target")).env("CARGO_ENCODED_RUSTFLAGS", link);
    // Cargo does not know that the program depends on the object.
    let program = package.join("target/release/profile_driver");
    let _ = fs::remove_file(&program);
    let _ = fs::remove_dir_all(package.join("target/release/.fingerprint"));
    run_captured(&mut build, "cargo")?;
    Ok(program)
}

/// Merges the counts into one file, with the first tool that supports this compiler's format.
fn merge(raw: &Path, merged: &Path) -> Result<PathBuf, MissingTool> {
    let mut complaints = Vec::new();
    for tool in tools("llvm-profdata") {
        match run_captured(command(&tool).arg("merge").arg(raw).arg("-o").arg(merged), "llvm-profdata") {
            Ok(()) => return Ok(merged.to_owned()),
            Err(error) => complaints.push(format!("{}: {error}", tool.display())),
        }
    }
    let found = if complaints.is_empty() { "there is none".to_owned() } else { complaints.join("; ") };
    Err(format!(
        "no llvm-profdata that understands this compiler: {found}; `rustup component add llvm-tools` installs one"
    ))
}

/// Runs a tool to its end; its messages become the error.
fn run_captured(run: &mut Command, what: &str) -> Result<(), BuildError> {
    let said = output(run)?;
    if said.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&said.stderr).trim_end().to_owned();
    Err(BuildError::Tool { tool: what.to_owned(), reason: format!("{}: {reason}", said.status) })
}
