//! The archive of all blobs, and the kernel that embeds it.

use std::path::{Path, PathBuf};

use crate::blob::Blob;
use crate::discover::Workspace;
use crate::error::BuildError;
use crate::subprocess::{ask_for_colours, output, write_if_changed};
use crate::toolchain::{KERNEL_TARGET, KernelToolchain};

/// The code model that the kernel needs: fixed addresses in the upper two gigabytes.
const RUSTFLAGS: [&str; 2] = ["-Crelocation-model=static", "-Ccode-model=kernel"];

/// Returns a tar archive of `blobs`, in their order. The same blobs give the same bytes.
#[must_use]
pub fn archive<'blob>(blobs: impl IntoIterator<Item = (&'blob str, &'blob [u8])>) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in blobs {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o444);
        header.set_mtime(0);
        // Writing to a vector does not fail, and the names are those of modules, which are short.
        let _ = archive.append_data(&mut header, name, bytes);
    }
    archive.into_inner().unwrap_or_default()
}

/// Returns the archive of packed modules, each as `NAME.mod`.
#[must_use]
pub fn archive_of(blobs: &[Blob]) -> Vec<u8> {
    let names: Vec<_> = blobs.iter().map(|blob| format!("{}.mod", blob.name)).collect();
    archive(names.iter().zip(blobs).map(|(name, blob)| (name.as_str(), blob.bytes.as_slice())))
}

/// Builds the kernel with `blobs` in it, and returns the path of its ELF file.
///
/// # Errors
/// An error of the build; [`BuildError::NoKernelTarget`] if the kernel can't be built here.
pub fn build_kernel(workspace: &Workspace, blobs: &[Blob]) -> Result<PathBuf, BuildError> {
    let toolchain = KernelToolchain::choose()?;
    let file = workspace.target.join("modules/modules.tar");
    write_if_changed(&file, &archive_of(blobs))?;
    build_binary(workspace, &toolchain, &Binary::KERNEL, Some(&file))
}

/// A bare-metal binary of the workspace.
#[derive(Clone, Copy, Debug)]
pub struct Binary {
    /// The name of the package and of the binary.
    pub package: &'static str,
    /// The cargo profile it is compiled with.
    pub profile: &'static str,
    /// The package's features, separated by spaces.
    pub features: &'static str,
}

impl Binary {
    /// The kernel.
    pub const KERNEL: Binary = Binary { package: "bareflow-kernel", profile: "kernel", features: "" };

    /// The smallest kernel with the loader in it.
    pub const LEAST: Binary = Binary { package: "least-kernel", profile: "small", features: "" };

    /// The example of a kernel that embeds the loader.
    pub const EMBEDDING: Binary = Binary { package: "embed-kernel", profile: "small", features: "" };

    /// The example of a kernel that embeds the loader with containment, as plain `cargo build` compiles it: many units
    /// that the linker joins.
    pub const CONTAINED: Binary = Binary { package: "contained-kernel", profile: "dev", features: "" };
}

/// Builds one bare-metal binary of the workspace.
///
/// # Errors
/// An error of the build.
pub fn build_binary(
    workspace: &Workspace,
    toolchain: &KernelToolchain,
    binary: &Binary,
    archive: Option<&Path>,
) -> Result<PathBuf, BuildError> {
    let Binary { package, profile, features } = *binary;
    let build = workspace.target.join(format!("kernel-build-{}", toolchain.name()));
    let mut cargo = toolchain.cargo();
    cargo.arg("build").args(toolchain.arguments()).args(["--profile", profile, "--locked", "--package", package]);
    cargo.args(["--features", features]);
    cargo.args(["--target", KERNEL_TARGET, "--target-dir"]).arg(&build);
    cargo.arg("--manifest-path").arg(workspace.root.join("Cargo.toml"));
    let remap = format!("--remap-path-prefix={}=.", workspace.root.display());
    let mut flags: Vec<_> = RUSTFLAGS.into_iter().chain([remap.as_str()]).collect();
    if *toolchain == KernelToolchain::Debian {
        // Debian's compiler comes without a linker.
        flags.push("-Clinker=ld.lld");
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    if let Some(archive) = archive {
        cargo.env("BAREFLOW_ARCHIVE", archive);
    }
    ask_for_colours(&mut cargo);
    let said = output(&mut cargo)?;
    if said.status.success() {
        let folder = if profile == "dev" { "debug" } else { profile };
        return Ok(build.join(KERNEL_TARGET).join(folder).join(package));
    }
    let output = String::from_utf8_lossy(&said.stderr).into_owned();
    Err(BuildError::Compile { krate: package.to_owned(), output })
}
