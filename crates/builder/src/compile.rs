//! Compiling of a module crate with its dependencies into a static library, for a machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use bareflow_abi::checksum::crc32c;

use crate::discover::ModuleCrate;
use crate::error::BuildError;
use crate::flags;
use crate::settings::{Checks, CodegenOptions};
use crate::subprocess::{ask_for_colours, output, read, write_if_changed};
use crate::toolchain::{KernelToolchain, MODULE_TARGET, PORTABLE_TARGET, module_cargo};

/// The machine that a module is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    /// x86-64.
    Native,
    /// WebAssembly.
    Portable,
}

/// The compiler's flags for code that a kernel can call: no red zone, since an interrupt would overwrite it, and
/// position-independent.
const NATIVE: [&str; 2] = ["-Cno-redzone=yes", "-Crelocation-model=pic"];

/// The features of WebAssembly that every engine supports, beyond those of version 1.
const FEATURES: &str = "-Ctarget-feature=+bulk-memory,+sign-ext,+nontrapping-fptoint,+multivalue,+reference-types";

/// The flags for all machines.
const RUSTFLAGS: [&str; 3] = ["-Cpanic=abort", "--cfg=bareflow_module", "--check-cfg=cfg(bareflow_module)"];

impl Machine {
    const fn target(self) -> &'static str {
        match self {
            Machine::Native => MODULE_TARGET,
            Machine::Portable => PORTABLE_TARGET,
        }
    }

    /// Returns the command `cargo rustc` of the compiler that has a `core` for the machine.
    fn cargo_rustc(self) -> Result<Command, BuildError> {
        let (mut cargo, arguments) = match self {
            Machine::Native => (module_cargo()?, &[][..]),
            Machine::Portable => {
                let toolchain = KernelToolchain::choose_portable()?;
                (toolchain.cargo(), toolchain.arguments())
            }
        };
        cargo.arg("rustc").args(arguments);
        Ok(cargo)
    }

    fn rustflags(self, codegen: &CodegenOptions) -> Vec<String> {
        let own = match (self, codegen.cpu_level) {
            (Machine::Portable, _) => vec![FEATURES.to_owned()],
            (Machine::Native, 1) => vec!["-Ctarget-cpu=x86-64".to_owned()],
            (Machine::Native, level) => vec![format!("-Ctarget-cpu=x86-64-v{level}")],
        };
        let machine = if self == Machine::Native { &NATIVE[..] } else { &[] };
        machine.iter().chain(&RUSTFLAGS).map(|&flag| flag.to_owned()).chain(own).collect()
    }
}

/// The settings of cargo's release profile: one codegen unit for everything, and no debug information.
const PROFILE: [(&str, &str); 6] = [
    ("LTO", "fat"),
    ("CODEGEN_UNITS", "1"),
    ("PANIC", "abort"),
    ("DEBUG", "0"),
    ("STRIP", "none"),
    ("INCREMENTAL", "false"),
];

/// Returns the folder for the build with these options.
///
/// Each level has a folder of its own, so that one does not force the other to be compiled again. So has each workspace that is
/// built in another one's target directory: the compiler's flags contain the workspace's path, and they share dependencies.
pub(crate) fn build_folder(module: &ModuleCrate, machine: Machine, codegen: &CodegenOptions) -> PathBuf {
    let folder =
        module.target.join(if module.checks == Checks::default() { "module-build" } else { "module-build/debug" });
    let folder = match module.root.file_name() {
        Some(name) if module.target.parent() != Some(&*module.root) => folder.join("workspaces").join(name),
        _ => folder,
    };
    if machine == Machine::Portable {
        return folder;
    }
    if codegen.cpu_level == 1 { folder } else { folder.join(format!("v{}", codegen.cpu_level)) }
}

/// Compiles the crate and its dependencies into a static library, in the folder `build` and with the flags `more`.
pub(crate) fn compile(
    module: &ModuleCrate,
    machine: Machine,
    codegen: &CodegenOptions,
    build: &Path,
    more: &[&str],
) -> Result<PathBuf, BuildError> {
    let (target, mut cargo) = (machine.target(), machine.cargo_rustc()?);
    cargo.args(["--lib", "--crate-type", "staticlib", "--release", "--target", target]);
    cargo.arg("--manifest-path").arg(&module.manifest).arg("--target-dir").arg(build);
    // Any other crate belongs to its author, who may have just added a dependency.
    if module.is_bareflows_own() && module.root.join("Cargo.lock").is_file() {
        cargo.arg("--locked");
    }
    if !module.settings.features.is_empty() {
        cargo.arg("--features").arg(module.settings.features.join(","));
    }
    if module.settings.default_features == Some(false) {
        cargo.arg("--no-default-features");
    }
    let own = flags::own(module, target)?;
    // The mapping makes paths in panic messages the same on every machine.
    let remap = format!("--remap-path-prefix={}=.", module.root.display());
    let registry = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
    let remap_registry = registry.map(|home| format!("--remap-path-prefix={home}/registry/src=registry"));
    let profile = codegen.profile.as_ref().map(|file| named_by_content(file, module)).transpose()?;
    let profile = profile.map(|file| format!("-Cprofile-use={}", file.display()));
    let for_machine = machine.rustflags(codegen);
    let flags: Vec<_> = for_machine
        .iter()
        .map(String::as_str)
        .chain([remap.as_str()])
        .chain(remap_registry.as_deref().ok())
        .chain(profile.as_deref())
        .chain(more.iter().copied())
        .chain(own.rustflags.iter().map(String::as_str))
        .collect();
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    for (key, value) in PROFILE {
        cargo.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
    }
    cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", &codegen.opt_level);
    for (key, asked, own) in [
        ("OVERFLOW_CHECKS", module.checks.overflow, own.checks.overflow),
        ("DEBUG_ASSERTIONS", module.checks.debug_assertions, own.checks.debug_assertions),
    ] {
        cargo.env(format!("CARGO_PROFILE_RELEASE_{key}"), (asked || own).to_string());
    }
    // Both take precedence over the profile and any configuration.
    cargo.env("CARGO_INCREMENTAL", "0").env("RUSTC_WRAPPER", "");
    ask_for_colours(&mut cargo);
    let said = output(&mut cargo)?;
    if !said.status.success() {
        let output = String::from_utf8_lossy(&said.stderr).into_owned();
        return Err(BuildError::Compile { krate: module.name.clone(), output });
    }
    Ok(build.join(target).join("release").join(format!("lib{}.a", module.library)))
}

/// Copies a profile to a file whose name depends on its content.
///
/// Cargo compiles again when a path changes, but not when a file's content does.
fn named_by_content(file: &Path, module: &ModuleCrate) -> Result<PathBuf, BuildError> {
    let bytes = read(file)?;
    let copy = module.target.join(format!("module-build/profiles/{:08x}.profdata", crc32c(&[&bytes])));
    write_if_changed(&copy, &bytes)?;
    Ok(copy)
}
