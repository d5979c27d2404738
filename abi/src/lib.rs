//! The single declaration of everything that a module and a loader agree on.
//!
//! These are the `.mod` [`header`], the [`Context`] and [`Services`] that a module is called with, the [`layout`] that
//! its code is linked at, [`module!`], which turns a function into a module's entry, [`state!`], for data that outlives
//! a reload, and [`parameters!`], for values that are set when a module is loaded.
//!
//! Packer, loader, kernel and every module use these very items. The format is described a second time only in
//! `docs/format.md`, which a test compares with them. Modules as WebAssembly are [`portable`].

#![no_std]

// The macros name this crate from outside.
extern crate self as bareflow_abi;

pub mod call;
pub mod carry;
pub mod checksum;
mod const_bytes;
pub mod context;
#[cfg(all(bareflow_module, feature = "critical-section"))]
mod critical;
pub mod depends;
pub mod devices;
#[cfg(bareflow_driver)]
#[doc(hidden)]
pub mod driver;
pub mod entry;
pub mod events;
mod field_layout;
mod fields;
pub mod fingerprint;
mod fnv;
pub mod header;
#[cfg(all(bareflow_module, feature = "alloc"))]
mod heap;
pub mod heap_note;
pub mod interface;
pub mod layout;
pub mod layout_record;
pub mod leb128;
#[cfg(bareflow_module)]
#[cfg_attr(target_family = "wasm", path = "wasm/mod.rs")]
#[cfg_attr(not(target_family = "wasm"), path = "native/mod.rs")]
mod machine;
pub mod memory;
#[cfg(bareflow_module)]
mod panic;
pub mod parameters;
pub mod portable;
mod prepare;
pub mod record;
pub mod shared;
mod signature;
pub mod state;
pub mod symbols;
pub mod task;
pub mod trap_codes;
pub mod traps;
pub mod variant;

pub use call::{CallArguments, CallRefusal, CallReply};
#[cfg(not(all(bareflow_module, target_family = "wasm")))]
pub use context::Context;
pub use context::{EntryFn, Reason, Services};
pub use header::Header;
pub use interface::{CallError, Failure, Interface, Out, Plain, Scalar};
#[cfg(all(bareflow_module, target_family = "wasm"))]
pub use machine::Context;
pub use signature::Entry;

#[cfg(feature = "interfaces")]
pub use bareflow_macros::{Failure, Plain, Scalar, interface};

/// The major version of the ABI: blobs load only into loaders of the same major version.
pub const ABI_MAJOR: u16 = 1;

/// The minor version of the ABI: a blob's minor version must not be above the loader's.
pub const ABI_MINOR: u16 = 6;

/// The parts that the macros need. They are not for authors, and change without notice.
#[doc(hidden)]
pub mod __private {
    #[cfg(feature = "interfaces")]
    pub use bareflow_macros::module as module_with_interfaces;

    pub use crate::context::grow_memory;
    pub use crate::layout_record::{LAYOUT, LAYOUT_SIZE};
    pub use crate::parameters::cell::ParameterCell;
    pub use crate::parameters::declaration::{encode_list, list_size};
    pub use crate::parameters::set_parameters;
    pub use crate::prepare::prepare;
    pub use crate::signature::{Function, NoContext, StatefulEntry, WithContext, WithState};
    pub use crate::state::cell::StateCell;
    pub use crate::state::migrate::{restore_state, save_state};
    pub use crate::state::schema::{encode as encode_schema, schema_size};
}
