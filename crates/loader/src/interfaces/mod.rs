//! Interfaces: typed calls between modules, and between a module and its embedder.
//!
//! A load binds each import to a provider (`bind`), method by method, so that a call looks nothing up (`invoke`). A
//! reload binds the users of the old module to the new one (`rebind`). The embedder provides interfaces of its own
//! (`embedder`), and uses those of modules (`bound`).

pub(crate) mod bind;
mod bound;
mod embedder;
mod explain;
mod function;
mod imports;
mod invoke;
mod loader;
mod provider;
#[cfg(feature = "reload")]
mod rebind;
pub(crate) mod signatures;
mod users;

pub use bound::Bound;
pub use embedder::Provided;
pub use explain::ImportDetails;
pub use function::{FunctionId, FunctionProfile};
pub use imports::Provider;

#[cfg(all(
    test,
    feature = "interfaces",
    feature = "parameters",
    feature = "semver",
    feature = "reload",
    feature = "restart"
))]
mod tests;
