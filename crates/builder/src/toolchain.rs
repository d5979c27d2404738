//! The choice of compiler and linker, which is made only here.
//!
//! `rustc_version` and its like tell the version of one compiler. The question here is which of several has a `core` for
//! a target, or the source of one, and no crate answers it for Debian's compiler.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::BuildError;
use crate::subprocess::{command, output};

/// The variable that forces the kernel's toolchain: `rustup` or `debian`.
pub const KERNEL_TOOLCHAIN: &str = "BAREFLOW_KERNEL_TOOLCHAIN";

/// The variable that selects another compiler for modules than the one that runs this build: `debian`.
pub const MODULE_TOOLCHAIN: &str = "BAREFLOW_MODULE_TOOLCHAIN";

/// The target of modules: its `core` uses hardware floating point.
pub const MODULE_TARGET: &str = "x86_64-unknown-linux-gnu";

/// The target of portable modules.
pub const PORTABLE_TARGET: &str = "wasm32v1-none";

/// The target of the kernel.
pub const KERNEL_TARGET: &str = "x86_64-unknown-none";

/// The folder where Debian installs its compiler.
const DEBIAN_BIN: &str = "/usr/bin";

/// The compiler for a target whose `core` does not come with every compiler: that of kernels, or of portable modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelToolchain {
    /// The compiler that runs this build, with rustup's `core` for the target.
    Rustup,
    /// Debian's compiler, which builds `core` from Debian's source.
    Debian,
}

impl KernelToolchain {
    /// Returns the toolchain to use: the one that the variable names, else rustup's if it has the target, else Debian's
    /// if its source is there.
    ///
    /// # Errors
    /// [`BuildError::NoKernelTarget`] if there is none, or the one that the variable names is missing.
    pub fn choose() -> Result<KernelToolchain, BuildError> {
        let wanted = std::env::var(KERNEL_TOOLCHAIN).ok();
        KernelToolchain::find(wanted.as_deref(), KERNEL_TARGET).ok_or(BuildError::NoKernelTarget)
    }

    /// Returns the toolchain for portable modules: that of all modules if the variable names one, else rustup's if it has
    /// the target, else Debian's if its source is there.
    ///
    /// # Errors
    /// [`BuildError::NoPortableTarget`] if there is none.
    pub fn choose_portable() -> Result<KernelToolchain, BuildError> {
        let wanted = std::env::var(MODULE_TOOLCHAIN).ok().filter(|wanted| !wanted.is_empty());
        KernelToolchain::find(wanted.as_deref(), PORTABLE_TARGET).ok_or(BuildError::NoPortableTarget)
    }

    fn find(wanted: Option<&str>, target: &str) -> Option<KernelToolchain> {
        let all = [KernelToolchain::Rustup, KernelToolchain::Debian];
        all.into_iter()
            .filter(|toolchain| wanted.is_none_or(|wanted| wanted == toolchain.name()))
            .find(|toolchain| toolchain.is_there(target))
    }

    fn is_there(&self, target: &str) -> bool {
        match self {
            KernelToolchain::Rustup => sysroot(&cargo_rustc()).is_some_and(|root| library(&root, target).is_dir()),
            KernelToolchain::Debian => {
                let rustc = Path::new(DEBIAN_BIN).join("rustc");
                sysroot(&rustc).is_some_and(|root| root.join("lib/rustlib/src/rust/library/core").is_dir())
            }
        }
    }

    /// Returns the `cargo` command that builds for the target.
    #[must_use]
    pub fn cargo(&self) -> Command {
        match self {
            KernelToolchain::Rustup => command(cargo()),
            KernelToolchain::Debian => {
                let mut cargo = debian_cargo();
                // Building `core` from source is the one unstable feature that is needed.
                cargo.env("RUSTC_BOOTSTRAP", "1");
                cargo
            }
        }
    }

    /// Returns the arguments that follow cargo's subcommand.
    #[must_use]
    pub const fn arguments(&self) -> &'static [&'static str] {
        match self {
            KernelToolchain::Rustup => &[],
            KernelToolchain::Debian => &["-Zbuild-std=core,alloc"],
        }
    }

    /// Returns the toolchain's name in messages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            KernelToolchain::Rustup => "rustup",
            KernelToolchain::Debian => "debian",
        }
    }
}

/// Returns the cargo that runs this build, or the one on the path.
#[must_use]
pub fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// Returns the command of Debian's cargo, which uses Debian's compiler.
fn debian_cargo() -> Command {
    let mut cargo = command(Path::new(DEBIAN_BIN).join("cargo"));
    cargo.env("RUSTC", Path::new(DEBIAN_BIN).join("rustc")).env_remove("RUSTUP_TOOLCHAIN");
    cargo
}

/// Returns the `cargo` command that builds modules.
///
/// # Errors
/// When the variable names an unknown compiler.
pub fn module_cargo() -> Result<Command, BuildError> {
    match std::env::var(MODULE_TOOLCHAIN).as_deref() {
        Err(_) | Ok("") => Ok(command(cargo())),
        Ok("debian") => Ok(debian_cargo()),
        Ok(found) => Err(BuildError::Tool {
            tool: MODULE_TOOLCHAIN.to_owned(),
            reason: format!("\"{found}\", expected \"debian\" or nothing"),
        }),
    }
}

/// The linker's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// An ELF file.
    Elf,
    /// WebAssembly.
    Wasm,
}

impl Flavor {
    /// Returns the name by which the compiler's linker is asked for it, and the linker that has no other output.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Flavor::Elf => ("gnu", "ld.lld"),
            Flavor::Wasm => ("wasm", "wasm-ld"),
        }
    }
}

/// Returns the command of the linker: the compiler's `rust-lld`, or LLVM's own.
///
/// # Errors
/// When there is none.
pub fn linker(flavor: Flavor) -> Result<Command, BuildError> {
    let (flavor, own) = flavor.names();
    let shipped = sysroot(&cargo_rustc()).map(|root| library(&root, MODULE_TARGET).join("bin/rust-lld"));
    let installed = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).map(|folder| folder.join(own)).collect::<Vec<_>>());
    let found = shipped.into_iter().chain(installed).find(|linker| linker.is_file());
    let mut linker = command(found.ok_or_else(|| BuildError::Tool {
        tool: "rust-lld".to_owned(),
        reason: format!(
            "neither the compiler's rust-lld nor {own} is there; install the package lld (in BareFlow's own checkout \
                 `make setup` does)"
        ),
    })?);
    if linker.get_program().to_string_lossy().ends_with("rust-lld") {
        linker.args(["-flavor", flavor]);
    }
    Ok(linker)
}

/// Returns all copies of an LLVM tool: the compiler's own, then those on the path.
///
/// On the path, names without a version come first, then those with one, newest first.
#[must_use]
pub fn tools(name: &str) -> Vec<PathBuf> {
    let shipped = sysroot(&cargo_rustc()).map(|root| library(&root, MODULE_TARGET).join("bin"));
    let own = shipped.into_iter().flat_map(|bin| [bin.join(name), bin.join(format!("rust-{name}"))]);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names: Vec<_> =
        [name.to_owned()].into_iter().chain((14..40).rev().map(|version| format!("{name}-{version}"))).collect();
    let on_path = std::env::split_paths(&path)
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)).collect::<Vec<_>>());
    own.chain(on_path.collect::<Vec<_>>()).filter(|tool| tool.is_file()).collect()
}

/// Returns the compiler beside the cargo in use.
fn cargo_rustc() -> PathBuf {
    let beside = cargo().with_file_name("rustc");
    if beside.is_file() { beside } else { PathBuf::from("rustc") }
}

fn library(sysroot: &Path, target: &str) -> PathBuf {
    sysroot.join("lib/rustlib").join(target)
}

fn sysroot(rustc: &Path) -> Option<PathBuf> {
    let output = output(command(rustc).args(["--print", "sysroot"])).ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim_end()))
}
