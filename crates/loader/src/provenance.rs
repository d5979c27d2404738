//! The origin of a blob that an engine made, which the loader knows because it called that engine itself.

#[cfg(feature = "portable")]
use bareflow_abi::interface::Interface;
#[cfg(feature = "portable")]
use bareflow_abi::interface::bindings::Entries;
#[cfg(feature = "portable")]
use bareflow_engine::{Engine, Options, QUICK};

#[cfg(feature = "portable")]
use crate::name::{Name, Version};

/// A BLAKE3 hash of 32 bytes.
#[cfg(feature = "portable")]
pub type Digest = [u8; 32];

/// The origin of a compiled blob: which engine made it, of what, and how.
///
/// Only [`ModuleManager::compile`](crate::ModuleManager::compile) makes one, with what it has seen: nothing that a blob
/// says of itself counts.
#[cfg(feature = "portable")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Provenance {
    /// The engine's name.
    pub engine: Name,
    /// The engine's version.
    pub engine_version: Version,
    /// The digest of the engine's blob.
    pub engine_digest: Digest,
    /// The digest of the WebAssembly.
    pub source_digest: Digest,
    /// The options of the compilation.
    pub options: Options,
}

#[cfg(feature = "portable")]
impl Provenance {
    /// Returns the tier of the code: 0 if the engine is [`INTERPRETER`], else 1 or 2 by how well it optimised.
    #[must_use]
    pub fn tier(&self) -> u8 {
        match (self.engine.as_str(), self.options.optimization) {
            (INTERPRETER, _) => 0,
            (_, QUICK) => 1,
            _ => 2,
        }
    }
}

/// The engine that interprets.
#[cfg(feature = "portable")]
pub const INTERPRETER: &str = "interpreter";

/// The origin of a blob: without the feature `portable` there are no compiled ones.
#[cfg(not(feature = "portable"))]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Provenance {}

/// Returns the digest of `blob` if its bindings say that it is an engine's.
#[cfg(feature = "portable")]
#[cold]
#[inline(never)]
pub(crate) fn digest_of_engine(blob: &[u8], bindings: &[u8]) -> Option<Digest> {
    is_engine(&Entries::new(bindings)).then(|| digest(blob))
}

/// Returns whether a module with these bindings is an engine: whether it exports their interface.
#[cfg(feature = "portable")]
#[must_use]
pub fn is_engine(bindings: &Entries<'_>) -> bool {
    bindings.exports().any(|(_, export)| export.interface == <dyn Engine>::NAME)
}

/// Returns the digest of some bytes.
#[cfg(feature = "portable")]
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    *blake3::hash(bytes).as_bytes()
}
