//! The imports and exports of loaded modules.

use alloc::vec::Vec;

use bareflow_loader::{ModuleId, ModuleProfile, Platform, Provider};
use bareflow_protocol::control::{Interfaces, ProviderName};
use bareflow_suite::fallible::{NoMemory, copy, push};
use bareflow_suite::text;

use crate::{Server, ServerEnvironment};

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// Returns the interfaces of all modules that have any, or those of `one`, in the order of their names and loads.
    pub(crate) fn interfaces(&self, one: Option<ModuleId>) -> Result<Vec<Interfaces>, NoMemory> {
        let mut found = Vec::new();
        for (_, id) in self.loads(one)? {
            let Some(profile) = self.manager.stats(id) else { continue };
            let interfaces = self.interfaces_of(&profile, id)?;
            if !interfaces.bindings.is_empty() {
                push(&mut found, interfaces)?;
            }
        }
        Ok(found)
    }

    fn interfaces_of(&self, profile: &ModuleProfile, id: ModuleId) -> Result<Interfaces, NoMemory> {
        let copied = self.manager.with_bindings(id, |bindings, signatures| (copy(bindings), copy(signatures)));
        let (bindings, signatures) = copied.unwrap_or((Ok(Vec::new()), Ok(Vec::new())));
        let mut providers = Ok::<_, NoMemory>(Vec::new());
        self.manager.for_each_import(id, |_, provider| {
            if let Ok(list) = &mut providers {
                let added = self.provider_name(provider).and_then(|provider| push(list, provider));
                providers = added.map(|()| core::mem::take(list));
            }
        });
        Ok(Interfaces {
            name: text!("{}", profile.name)?,
            version: text!("{}", profile.version)?,
            generation: profile.generation,
            active: profile.active,
            bindings: bindings?,
            signatures: signatures?,
            providers: providers?,
        })
    }

    fn provider_name(&self, provider: Option<Provider>) -> Result<Option<ProviderName>, NoMemory> {
        Ok(match provider {
            Some(Provider::Embedder(name)) => Some(ProviderName { name: text!("{name}")?, version: None }),
            Some(Provider::Module(id)) => match self.manager.stats(id) {
                Some(module) => {
                    let (name, version) = (text!("{}", module.name)?, text!("{}", module.version)?);
                    Some(ProviderName { name, version: Some(version) })
                }
                None => None,
            },
            None => None,
        })
    }
}
