//! The parts of a module that depend on the machine, for x86-64. Only in a module build.
//!
//! `wasm` has the same parts for portable modules.

mod compiler_builtins;
#[cfg(feature = "alloc")]
pub(crate) mod heap_memory;
pub(crate) mod trap;
pub(crate) mod uses;
