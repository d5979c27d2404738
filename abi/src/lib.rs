//! The one declaration of everything a module and a loader agree on: the
//! `.mod` [`header`], the [`Context`] and [`Services`] a module is called
//! with, the [`layout`] its code is linked at, and [`module!`], which turns a
//! function into a module's entry, and [`state!`] for what outlives a reload.
//!
//! Packer, loader, kernel and every module use these very items; nothing of
//! the format is written down a second time, except in `docs/format.md`, which
//! a test holds to this.

#![no_std]

pub mod call;
pub mod checksum;
#[cfg(bareflow_module)]
mod compiler_builtins;
pub mod context;
#[cfg(all(bareflow_module, feature = "critical-section"))]
mod critical;
pub mod depends;
#[cfg(bareflow_driver)]
pub mod driver;
pub mod entry;
mod fields;
pub mod fingerprint;
pub mod header;
#[cfg(all(bareflow_module, feature = "alloc"))]
mod heap;
pub mod heap_note;
pub mod layout;
pub mod layout_record;
#[cfg(bareflow_module)]
mod panic;
pub mod record;
pub mod state;
pub mod symbols;
pub mod trap_codes;
#[cfg(bareflow_module)]
mod uses;
pub mod variant;

pub use call::{CallArguments, CallRefusal, CallReply};
pub use context::{Context, EntryFn, Reason, Services};
pub use entry::Entry;
pub use header::Header;

/// Major version of the ABI: blobs load only into loaders of the same major.
pub const ABI_MAJOR: u16 = 1;

/// Minor version of the ABI: a blob's minor must not be above the loader's.
pub const ABI_MINOR: u16 = 2;
