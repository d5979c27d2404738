//! The files that the build embeds into this program.

use anyhow::{Result, ensure};

use crate::setup::kernel_remedy;

/// The blobs of `modules/` in their order, as a tar archive.
pub const MODULES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/modules.tar"));

/// The kernel's ELF file; empty where it could not be built.
pub const KERNEL: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kernel.elf"));

/// Returns the kernel.
///
/// # Errors
/// When this build has none.
pub fn kernel() -> Result<&'static [u8]> {
    let missing = "this build has no kernel: no core library for x86_64-unknown-none was there";
    ensure!(!KERNEL.is_empty(), "{missing}; {}", kernel_remedy());
    Ok(KERNEL)
}

/// The source of `bareflow-abi` as a crate that needs no workspace around it, as a tar archive.
pub const ABI: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/abi.tar"));
