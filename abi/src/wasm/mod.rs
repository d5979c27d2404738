//! The parts of a module that depend on the machine, for WebAssembly. Only in a module build.
//!
//! [`entry`] is what the engine calls. It makes the [`Context`], whose methods are [`imports`]; what the caller lends is
//! copied into [`scratch`] memory. `native` has the same parts for x86-64.

mod context;
mod entry;
#[cfg(feature = "alloc")]
pub(crate) mod heap_memory;
mod imports;
mod lent;
mod scratch;
pub(crate) mod trap;
pub(crate) mod uses;

pub use context::Context;
