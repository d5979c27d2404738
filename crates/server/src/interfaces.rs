//! The imports and exports of loaded modules.

use alloc::string::String;
use alloc::vec::Vec;

use bareflow_abi::interface::bindings::{NewEntry, Role, encoded_size};
use bareflow_loader::{ModuleId, ModuleProfile, Platform, Provided, Provider};
use bareflow_protocol::control::{Interfaces, ProviderName};
use bareflow_suite::fallible::{NoMemory, copy, push};
use bareflow_suite::text;

use crate::{Server, ServerEnvironment};

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// Returns the interfaces of all modules that have any, in the order of their names and loads, after those that the
    /// embedder provides; or those of `one`.
    pub(crate) fn interfaces(&self, one: Option<ModuleId>) -> Result<Vec<Interfaces>, NoMemory> {
        let mut found = if one.is_none() { self.provided()? } else { Vec::new() };
        for (_, id) in self.loads(one)? {
            let Some(profile) = self.manager.stats(id) else { continue };
            let interfaces = self.interfaces_of(&profile, id)?;
            if !interfaces.bindings.is_empty() {
                push(&mut found, interfaces)?;
            }
        }
        Ok(found)
    }

    /// Returns the interfaces that the embedder provides, each as those of a module without a version.
    fn provided(&self) -> Result<Vec<Interfaces>, NoMemory> {
        let mut found = Ok::<_, NoMemory>(Vec::new());
        self.manager.for_each_provided(|provided| {
            if let Ok(list) = &mut found {
                let added = as_module(provided).and_then(|one| push(list, one));
                found = added.map(|()| core::mem::take(list));
            }
        });
        found
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

/// Returns an interface of the embedder's as a module without a version that exports it.
fn as_module(provided: Provided) -> Result<Interfaces, NoMemory> {
    let Provided { name, interface, version, methods, signatures } = provided;
    let entry = NewEntry { role: Role::Export, name: "", interface, version, methods };
    let mut bindings = Vec::new();
    bindings.try_reserve_exact(encoded_size(&[entry])).map_err(|_| NoMemory)?;
    bindings.extend_from_slice(&[entry.role as u8, 0, interface.len() as u8, 0]);
    for number in [methods.len() as u16, version.0, version.1] {
        bindings.extend_from_slice(&number.to_le_bytes());
    }
    bindings.extend_from_slice(interface.as_bytes());
    for method in methods {
        bindings.extend_from_slice(&method.fingerprint.to_le_bytes());
        bindings.extend_from_slice(&method.shape.bits().to_le_bytes());
    }
    Ok(Interfaces {
        name: text!("{name}")?,
        version: String::new(),
        generation: 0,
        active: true,
        bindings,
        signatures: copy(signatures.as_bytes())?,
        providers: Vec::new(),
    })
}
