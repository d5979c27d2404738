//! The files that the build embeds into this program.

/// The blobs of `modules/` in their order, as a tar archive.
pub const MODULES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/modules.tar"));

/// The kernel's ELF file; empty where it could not be built.
pub const KERNEL: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kernel.elf"));

/// The source of `bareflow-abi` as a crate that needs no workspace around it, as a tar archive.
pub const ABI: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/abi.tar"));
