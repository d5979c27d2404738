//! The format: from bytes to a valid module.

mod check_abi;
mod check_records;
pub mod code;
pub mod fixups;
#[cfg(feature = "memory")]
mod memory;
pub mod raw;
pub mod records;
pub mod segments;
#[cfg(feature = "traps")]
mod traps;
pub mod valid;
