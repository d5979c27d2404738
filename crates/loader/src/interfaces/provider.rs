//! The exports of a provider, whether it is a module or the embedder.

use bareflow_abi::interface::bindings::{Entry, Method};

use crate::manager::ModuleManager;
use crate::module::interfaces::ProviderId;
use crate::platform::Platform;
use crate::registry::embedder::Exported;

/// An interface as it is exported.
pub(super) enum Export<'exporter> {
    /// By a module: the number of its first function, and its entry.
    Module(usize, Entry<'exporter>),
    /// By the embedder, or by the loader itself.
    Embedder(&'exporter Exported),
}

impl Export<'_> {
    /// Returns the version: major, minor.
    pub fn version(&self) -> (u16, u16) {
        match self {
            Export::Module(_, entry) => entry.version,
            Export::Embedder(exported) => exported.version,
        }
    }

    /// Returns whether users of the version `wanted` can use it: the major version is the same, with major version 0 the
    /// minor one, too, and it is not below.
    pub fn serves(&self, wanted: (u16, u16)) -> bool {
        let (major, minor) = self.version();
        major == wanted.0 && if major == 0 { minor == wanted.1 } else { minor >= wanted.1 }
    }

    /// Returns the number of the function that is `method`.
    pub fn function(&self, method: &Method) -> Option<u32> {
        let (first, index) = match self {
            Export::Module(first, entry) => (*first, entry.methods().position(|other| other == *method)),
            Export::Embedder(exported) => (0, exported.methods.iter().position(|other| other == method)),
        };
        u32::try_from(first + index?).ok()
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Passes the interface that a provider exports to `look`; `None` if it does not.
    pub(super) fn with_export<T>(
        &self,
        provider: ProviderId,
        interface: &str,
        look: impl FnOnce(Export<'_>) -> T,
    ) -> Option<T> {
        match provider {
            ProviderId::Module(id) => {
                let module = self.get(id)?;
                let (first, entry) =
                    module.metadata.bindings().exports().find(|(_, entry)| entry.interface == interface)?;
                Some(look(Export::Module(first, entry)))
            }
            ProviderId::Embedder(number) => {
                let exported = &self.embedder.get(number)?.exported;
                (exported.interface == interface).then(|| look(Export::Embedder(exported)))
            }
            ProviderId::Loader(own) => {
                let exported = own.exported();
                (exported.interface == interface).then(|| look(Export::Embedder(&exported)))
            }
        }
    }
}
