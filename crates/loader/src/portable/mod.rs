//! Portable modules: WebAssembly, which engines turn into blobs. An engine is a module that exports the interface
//! [`Engine`](bareflow_engine::Engine).

mod carry;
mod compile;
mod compiled;
mod cost;
#[cfg(test)]
mod tests;

pub use bareflow_engine as engine;
pub use compile::CompileError;
pub use compiled::Compiled;
pub use cost::Cost;

use bareflow_abi::interface::Interface;
use bareflow_abi::interface::bindings::Entries;
use bareflow_engine::Engine;

use crate::provenance::Digest;

/// Returns the digest of `blob` if its bindings say that it is an engine's.
#[cold]
#[inline(never)]
pub(crate) fn digest_of_engine(blob: &[u8], bindings: &[u8]) -> Option<Digest> {
    let is_engine = Entries::new(bindings).exports().any(|(_, export)| export.interface == <dyn Engine>::NAME);
    is_engine.then(|| digest(blob))
}

/// Returns the digest of some bytes.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    *blake3::hash(bytes).as_bytes()
}
