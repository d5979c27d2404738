//! Occurrences in the life of a module, for platforms that trace.

use bareflow_abi::depends::VersionParts;

/// An occurrence in the life of a module besides its calls, for [`Platform::trace`](crate::Platform::trace).
///
/// A new one breaks whoever shows a trace, so that none is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Occurrence {
    /// The embedder loaded it.
    Loaded {
        /// The version.
        version: VersionParts,
        /// The number of times the name has been loaded.
        generation: u32,
    },
    /// A replacement of another load of its name: a reload of the embedder's, or the return to an earlier version.
    Replaced {
        /// The version of the other one.
        version: VersionParts,
        /// The generation of the other one.
        generation: u32,
    },
    /// The embedder unloaded it.
    Unloaded {
        /// The version.
        version: VersionParts,
        /// The number of times the name had been loaded.
        generation: u32,
    },
    /// A fault stopped it.
    Stopped,
    /// A fresh image took the place of the old one, after a fault or on purpose.
    Restarted,
    /// The events with these bits are due, and their handler is called.
    Due(u64),
    /// The notification with this number was published by it.
    Notified(u32),
}
