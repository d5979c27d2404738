//! The users of a provider.

use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::module::interfaces::ProviderId;
use crate::platform::Platform;

impl<P: Platform> ModuleManager<P> {
    /// Iterates over the modules that use interfaces of the module `id`.
    pub fn users(&self, id: ModuleId) -> impl Iterator<Item = ModuleId> {
        let uses = move |by: ModuleId| {
            let module = self.get(by).filter(|module| !module.lifecycle.is_retired());
            module.is_some_and(|module| {
                let mut imports = module.metadata.interfaces().into_iter().flat_map(|all| &all.imports);
                imports.any(|import| import.provider.get() == Some(ProviderId::Module(id)))
            })
        };
        self.ids().filter(move |&by| by != id && uses(by))
    }
}
