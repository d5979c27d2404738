//! Unloading: the end of a module, and the receipt for what it gave back.

use core::cell::Ref;

use bareflow_abi::Reason;
use bareflow_abi::header::{FLAG_ACCOUNT, FLAG_EXIT};

use crate::error::UnloadError;
use crate::manager::ModuleManager;
use crate::module::lifecycle::ModuleState;
use crate::module::receipt::Receipt;
use crate::module::{Module, ModuleId};
use crate::platform::{CallFailure, Platform};
use crate::profile::{Leak, Usage};
use crate::registry::{NameEntry, Slot};

impl<P: Platform> ModuleManager<P> {
    /// Unloads a module: calls its `exit` if it has one and frees its memory.
    ///
    /// If it was the active version of its name, the highest remaining version becomes the active one.
    ///
    /// # Errors
    /// There is no such module, a call of it is running, it is pinned, or others need it. The module stays as it is.
    pub fn unload(&self, id: ModuleId) -> Result<Receipt, UnloadError> {
        let slot = self.registry.slot(id.index).ok_or(UnloadError::NotLoaded)?;
        // A running call borrows its module.
        let busy = slot.is_borrowed();
        let module = slot.get(id.epoch).ok_or(UnloadError::NotLoaded)?;
        if cfg!(feature = "depends") && self.callers.get() > 0 {
            self.check_unneeded(id, &module)?;
        }
        if busy {
            return Err(UnloadError::Busy { name: module.name, version: module.version });
        }
        let name_entry = self.unpublish(slot, &module);
        if let Some(name_entry) = name_entry
            && name_entry.active.get().is_none()
        {
            name_entry.active.set(self.highest(name_entry));
        }
        self.end(slot, module, name_entry)
    }

    /// Checks that nothing but its calls under way keeps a module from being unloaded.
    ///
    /// # Errors
    /// There is no such module, or others need it.
    pub fn check_unload(&self, id: ModuleId) -> Result<(), UnloadError> {
        let module = self.get(id).ok_or(UnloadError::NotLoaded)?;
        self.check_unneeded(id, &module)
    }

    /// Checks that no other module needs this one, or uses an interface of it.
    #[cold]
    #[inline(never)]
    fn check_unneeded(&self, id: ModuleId, module: &Module<P>) -> Result<(), UnloadError> {
        let (name, version) = (module.name, module.version);
        let name_of = |by: ModuleId| self.get(by).map(|by| by.name);
        if let Some(by) = self.dependents(id).find_map(name_of) {
            return Err(UnloadError::Needed { name, version, by });
        }
        match self.users(id).find_map(name_of) {
            Some(by) => Err(UnloadError::Used { name, version, by }),
            None if self.uses.of(id).next().is_some() => Err(UnloadError::UsedByEmbedder { name, version }),
            None => Ok(()),
        }
    }

    /// Removes a module from its name's list, so that it can't be found any more. Returns the name's entry.
    #[inline(always)]
    pub(crate) fn unpublish(&self, slot: &Slot<P>, module: &Module<P>) -> Option<&NameEntry> {
        module.lifecycle.retire();
        let name_entry = self.name_entry(module)?;
        if module.published.replace(false) {
            self.registry.unlink(slot, name_entry);
        }
        if name_entry.active.get().is_some_and(|active| module.epoch.get() == Some(active.epoch)) {
            name_entry.active.set(None);
        }
        Some(name_entry)
    }

    /// Ends a retired module that no one else has borrowed: calls its `exit` and frees all that it has.
    #[inline(always)]
    pub(crate) fn end(
        &self,
        slot: &Slot<P>,
        module: Ref<'_, Module<P>>,
        name_entry: Option<&NameEntry>,
    ) -> Result<Receipt, UnloadError> {
        // From here on no handle leads to the module, though it stays in its slot until its last calls have ended.
        module.epoch.set(None);
        let exits = module.flags & FLAG_EXIT != 0 && module.lifecycle.state() != ModuleState::Stopped;
        let exit_fault = match if exits { self.call(&module, Reason::Exit) } else { Ok(0) } {
            Err(CallFailure::Fault(fault)) => Some(fault),
            _ => None,
        };
        let leak = self.account(&module);
        if module.metadata.is_some() {
            self.count_module(&module, false);
            #[cfg(feature = "devices")]
            self.release_devices(slot.index());
            #[cfg(feature = "regions")]
            self.detach_regions(slot.index(), &module.metadata, false);
        }
        let (held, before) = (self.usage_of(&module), self.usage());
        let (call_count, bindings) = (module.call_count(), module.metadata.dependencies());
        drop(module);
        let module = slot.take().ok_or(UnloadError::NotLoaded)?;
        let Module { name, version, generation, placement, placed, profile_buffer, metadata, faults, .. } = module;
        self.registry.release(slot, name_entry);
        self.platform.release(placed.image);
        profile_buffer.recycle(&self.spare_buffer);
        #[cfg(feature = "events")]
        self.remove_events(&metadata);
        #[cfg(feature = "regions")]
        if metadata.is_some() {
            self.free_orphans();
        }
        drop((metadata, faults));
        let returned = before.zip(self.usage()).map(|(before, after)| before.saturating_sub(after));
        let (generation, heap_bytes) = (generation.get(), placement.budget.heap_bytes);
        Ok(Receipt { name, version, generation, held, returned, call_count, heap_bytes, leak, bindings, exit_fault })
    }

    /// Returns the memory that a module has not freed in its own heap, if it keeps count.
    fn account(&self, module: &Module<P>) -> Leak {
        if module.flags & FLAG_ACCOUNT == 0 || module.lifecycle.state() == ModuleState::Stopped {
            return Leak::default();
        }
        let mut counts = [0; 16];
        let call = module.call(&module.placed, Reason::Account, &[], self.timing);
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] =
            match self.call_platform_slow(&call, &module.metadata, &mut counts) {
                Ok(_) => counts,
                // A module that faults even here has not reported anything.
                Err(_) => [0; 16],
            };
        Leak {
            blocks: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            bytes: u64::from_le_bytes([i, j, k, l, m, n, o, p]),
        }
    }

    /// Returns the memory that a module has been given.
    #[inline]
    pub(crate) fn usage_of(&self, module: &Module<P>) -> Usage {
        self.platform.image_usage(&module.placed.image) + module.usage()
    }
}
