//! Builds the modules below `modules/` into blobs, and the kernel with these in it.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use bareflow_builder::discover::discover;
use bareflow_builder::kernel::{archive, archive_of, build_kernel};
use bareflow_builder::subprocess::write_if_changed;
use bareflow_builder::toolchain::{KERNEL_TOOLCHAIN, MODULE_TOOLCHAIN};
use bareflow_builder::vendor::abi;
use bareflow_builder::{BuildError, build_module};

/// The sources of the blobs and the kernel.
const SOURCES: [&str; 8] = ["Cargo.toml", "Cargo.lock", "build.rs", "abi", "crates", "interfaces", "kernel", "modules"];

fn main() {
    if let Err(error) = build() {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    println!("cargo::rerun-if-env-changed={KERNEL_TOOLCHAIN}");
    println!("cargo::rerun-if-env-changed={MODULE_TOOLCHAIN}");
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);

    let workspace = discover(&root.join("Cargo.toml"))?;
    let folder = workspace.target.join("modules");
    let blobs = workspace.modules.iter().map(|module| build_module(module, &folder)).collect::<Result<Vec<_>, _>>()?;
    write_if_changed(&out.join("modules.tar"), &archive_of(&blobs))?;
    let files = abi(&root)?;
    write_if_changed(&out.join("abi.tar"), &archive(files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..]))))?;
    let kernel = match build_kernel(&workspace, &blobs) {
        Ok(path) => fs::read(path)?,
        Err(error @ BuildError::NoKernelTarget) => {
            println!("cargo::warning={error}; the modules are built, `boot` needs the kernel");
            // The file never exists, so the next build tries again.
            println!("cargo::rerun-if-changed={}", out.join("no-kernel-target").display());
            Vec::new()
        }
        Err(error) => return Err(error.into()),
    };
    Ok(write_if_changed(&out.join("kernel.elf"), &kernel)?)
}
