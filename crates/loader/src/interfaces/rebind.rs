//! The users of a provider that is replaced.

use bareflow_abi::interface::bindings::Entries;

use super::bind::{Selector, check_export};
use super::provider::Export;
use crate::error::LoadError;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::module::interfaces::ProviderId;
use crate::name::{Name, Version};
use crate::platform::Platform;
use crate::registry::embedder::Exported;

impl<P: Platform> ModuleManager<P> {
    /// Checks that all users of the module `from` can use the one of this version and with these bindings, which will
    /// replace it.
    pub(crate) fn check_users(&self, from: ModuleId, version: Version, new: Entries<'_>) -> Result<(), LoadError> {
        let Some(name) = self.get(from).map(|old| old.name) else { return Ok(()) };
        for by in self.users(from) {
            let Some(user) = self.get(by) else { continue };
            let Some(interfaces) = user.metadata.interfaces() else { continue };
            for (import, entry) in interfaces.imports.iter().zip(user.metadata.bindings().imports()) {
                if import.provider.get() != Some(ProviderId::Module(from)) {
                    continue;
                }
                let admits = |wanted: Selector<'_>| wanted.admits(&name, Some(&version));
                if !Selector::parse(entry.provider).is_some_and(admits)
                    && let Some(import) = Name::new(entry.name)
                {
                    return Err(LoadError::StillBound { by: user.name, import });
                }
                let mut exports = new.exports();
                let export = exports.find(|(_, export)| export.interface == entry.interface);
                let serves = export.is_some_and(|(first, export)| {
                    check_export(&Export::Module(first, export), entry.version, entry.methods()).is_ok()
                });
                if let (false, Some(interface)) = (serves, Name::new(entry.interface)) {
                    return Err(LoadError::StillUsed { by: user.name, interface });
                }
            }
        }
        for (_, Exported { interface, version, methods, .. }) in self.uses.of(from) {
            let export = new.exports().find(|(_, export)| export.interface == interface);
            let serves = export.is_some_and(|(first, export)| {
                check_export(&Export::Module(first, export), version, methods.iter().copied()).is_ok()
            });
            if let (false, Some(interface)) = (serves, Name::new(interface)) {
                return Err(LoadError::UsedByEmbedder { interface });
            }
        }
        Ok(())
    }

    /// Binds all users of the module `from` to the module `to`, which has replaced it. `lost_state`: what they agreed on
    /// with the old one does not hold any more.
    pub(crate) fn rebind_users(&self, from: ModuleId, to: ModuleId, lost_state: bool) {
        for by in self.users(from) {
            let Some(user) = self.get(by) else { continue };
            let Some(interfaces) = user.metadata.interfaces() else { continue };
            for (number, (import, entry)) in
                (0..).zip(interfaces.imports.iter().zip(user.metadata.bindings().imports()))
            {
                if import.provider.get() != Some(ProviderId::Module(from)) {
                    continue;
                }
                // What was not said yet of the old one is said of the new one.
                let is_news = lost_state || import.restarts.get() != self.restarts_of(ProviderId::Module(from));
                // It was checked that the new one serves. One that does not is never called by a wrong number.
                if self.bind_to(interfaces, number, &entry, ProviderId::Module(to)).is_err() {
                    import.provider.set(None);
                }
                if is_news {
                    import.restarts.set(import.restarts.get().wrapping_sub(1));
                }
            }
        }
        for (one, _) in self.uses.of(from) {
            let is_news = lost_state || one.restarts.get() != self.restarts_of(ProviderId::Module(from));
            one.provider.set(Some(to));
            one.restarts.set(self.restarts_of(ProviderId::Module(to)).wrapping_sub(is_news.into()));
        }
    }
}
