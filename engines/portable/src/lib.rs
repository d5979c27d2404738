//! The parts of a portable module that the engines agree on.
//!
//! ```text
//! description.rs    the custom section `bareflow.module`: name, version, services, budgets, records
//! imports.rs        the functions that a module may import, and the services behind them
//! types.rs          their types, as the validator has them
//! sections/         the sections of a module, as engines need them
//! refusal.rs        the reason for which a module gets no blob
//! state.rs          where the state of an instance lies in the data segment, the same in every tier
//! carry.rs          the record by which a loader carries that state from one blob to another
//! program/          what the interpreter's blobs consist of besides the runner
//! kept.rs           the blob and the reason that an engine keeps between calls
//! ```

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(feature = "wasmparser")]
pub mod carry;
pub mod description;
pub mod imports;
pub mod kept;
pub mod program;
pub mod refusal;
#[cfg(feature = "wasmparser")]
pub mod sections;
pub mod state;
#[cfg(feature = "wasmparser")]
pub mod types;

/// The most pages that a memory in a blob's bss may have: 255 MiB, since a segment has at most 256.
pub const MAX_PAGES_IN_BSS: u32 = 255 * 16;
