//! The imports of loaded modules, for people.

use bareflow_abi::interface::bindings::Entry;

use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::module::interfaces::LOADER_NAME;
use crate::module::interfaces::ProviderId;
use crate::name::Name;
use crate::platform::Platform;

/// The provider of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// A module.
    Module(ModuleId),
    /// The embedder, or the loader itself, under this name.
    Embedder(Name),
}

impl<P: Platform> ModuleManager<P> {
    /// Passes each import of a module to `look`, in order, with the provider that it is bound to.
    pub fn for_each_import(&self, id: ModuleId, mut look: impl FnMut(Entry<'_>, Option<Provider>)) {
        let Some(module) = self.get(id) else { return };
        let Some(interfaces) = module.metadata.interfaces() else { return };
        for (import, entry) in interfaces.imports.iter().zip(module.metadata.bindings().imports()) {
            look(entry, import.provider.get().and_then(|provider| self.provider(provider)));
        }
    }

    /// Passes the record of a module's imports and exports, and the signatures of their methods, to `look`.
    ///
    /// Both are empty if the module has none, and the signatures if they were stripped.
    pub fn with_bindings<T>(&self, id: ModuleId, look: impl FnOnce(&[u8], &[u8]) -> T) -> Option<T> {
        let module = self.get(id)?;
        let bindings = module.metadata.interfaces().map_or(&[][..], |interfaces| interfaces.bindings());
        Some(look(bindings, module.metadata.signatures()))
    }

    fn provider(&self, provider: ProviderId) -> Option<Provider> {
        match provider {
            ProviderId::Module(id) => Some(Provider::Module(id)),
            ProviderId::Embedder(number) => Some(Provider::Embedder(self.embedder.get(number)?.name)),
            ProviderId::Loader(_) => Name::new(LOADER_NAME).map(Provider::Embedder),
        }
    }
}
