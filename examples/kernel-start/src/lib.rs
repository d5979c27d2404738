//! The parts that every kernel already has, for the example kernels: it boots by PVH into the upper two gigabytes, maps memory,
//! prints and exits.
//!
//! A kernel defines `kernel_main`, an `extern "C"` function that is not mangled and returns whether all went well. Its
//! build script passes `kernel.ld` to the linker.

#![no_std]

#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
mod memory;

#[cfg(target_os = "none")]
pub use boot::{Console, image, middle_table};
#[cfg(target_os = "none")]
pub use memory::{Frames, KERNEL_BASE, MODULES, PHYSICAL_MAP, mapper};
