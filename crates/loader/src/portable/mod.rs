//! Portable modules: WebAssembly, which engines turn into blobs. An engine is a module that exports the interface
//! [`Engine`](bareflow_engine::Engine).

mod carry;
mod compile;
mod compiled;
mod cost;
#[cfg(test)]
mod sandbox_tests;
mod sandboxed;
#[cfg(test)]
mod tests;

pub use crate::provenance::{INTERPRETER, is_engine};
pub use crate::sandbox::{MAX_TRUSTED_ENGINES, Sandbox};
pub use bareflow_engine as engine;
pub use compile::CompileError;
pub use compiled::Compiled;
pub use cost::Cost;
