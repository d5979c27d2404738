//! The format: from bytes to a valid module.

pub mod code;
pub mod fixups;
pub mod raw;
pub mod records;
pub mod segments;
pub mod valid;
