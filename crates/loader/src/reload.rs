//! Hot reload: a module replaces the active one of its name, which is unloaded after its last call.

use crate::depends::Candidate;
use crate::error::LoadError;
use crate::load::IfLoaded;
use crate::load::state::StateTransfer;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::module::receipt::Receipt;
use crate::name::Version;
use crate::platform::Platform;
use crate::policy::LoadSettings;
use crate::provenance::Provenance;

/// The result of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// The new module.
    pub id: ModuleId,
    /// The module that it replaced, if any.
    pub replaced: Option<Replaced>,
    /// The result of the state transfer.
    pub state: StateTransfer,
    /// The cycles until the new module was ready.
    pub prepare_cycles: u64,
    /// The cycles to make the new module the active one.
    pub switch_cycles: u64,
}

/// A module that was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The module's version.
    pub version: Version,
    /// The module's generation.
    pub generation: u32,
    /// The receipt; `None` as long as calls of the module are running, which end in its old code.
    pub receipt: Option<Receipt>,
}

impl<P: Platform> ModuleManager<P> {
    /// Loads `blob` and replaces the active module of its name.
    ///
    /// If there is none, it is loaded like by [`load_with`](Self::load_with).
    ///
    /// The new module is validated, placed and initialised first. Then a single step makes it the one that calls by
    /// name reach. Running calls end in the old module's code; after the last one, the old module is unloaded.
    ///
    /// # Errors
    /// The reason for which the new module is refused. The old one is unchanged.
    pub fn replace<'load>(&self, blob: &[u8], settings: impl Into<LoadSettings<'load>>) -> Result<Reloaded, LoadError> {
        self.replace_from(blob, settings.into(), None)
    }

    /// Does what [`replace`](Self::replace) does, with a blob that may be an engine's.
    #[inline]
    pub(crate) fn replace_from(
        &self,
        blob: &[u8],
        settings: LoadSettings<'_>,
        provenance: Option<&Provenance>,
    ) -> Result<Reloaded, LoadError> {
        let start = self.platform.clock_fenced();
        let pending = self.load_pending(blob, settings, IfLoaded::Replace, provenance)?;
        // Another reload may have run during the module's `init`.
        let replaced = pending.replaced;
        match pending.filled.slot.module() {
            Some(module) if pending.filled.name_entry.active.get() == replaced => {
                self.check_dependents(replaced, || Candidate::from(&*module))?;
                #[cfg(feature = "supervision")]
                self.keep_previous(replaced, &module)?;
            }
            _ => return Err(LoadError::Overtaken),
        }
        let prepare_cycles = self.platform.clock_fenced().saturating_sub(start);
        let state_transfer = pending.state_transfer;
        Ok(self.switch(pending.go_live(None), state_transfer, prepare_cycles))
    }

    /// Loads `blob` as a candidate that can't be found by its name.
    ///
    /// It can be tried out, and then either replace the active module by [`promote`](Self::promote), or be unloaded by
    /// [`unload`](Self::unload).
    ///
    /// # Errors
    /// As for [`replace`](Self::replace).
    pub fn load_candidate<'load>(
        &self,
        blob: &[u8],
        settings: impl Into<LoadSettings<'load>>,
    ) -> Result<ModuleId, LoadError> {
        Ok(self.load_pending(blob, settings.into(), IfLoaded::Replace, None)?.go_live(None))
    }

    /// Makes a candidate replace the active module of its name, and transfers the state that the active module has now.
    ///
    /// # Errors
    /// The reason for which the candidate can't take over the state or replace the module; the old module is unchanged
    /// then. [`LoadError::CandidateGone`] if the candidate is gone.
    pub fn promote(&self, id: ModuleId) -> Result<Reloaded, LoadError> {
        let start = self.platform.clock_fenced();
        let module = self.get(id).filter(|module| !module.lifecycle.is_retired()).ok_or(LoadError::CandidateGone)?;
        let from = self.active(&module.name).filter(|&from| from != id);
        let new = Candidate::from(&*module);
        self.check_dependencies(&new, from)?;
        if let Some(from) = from
            && self.users(from).any(|by| by == id)
        {
            // It would use itself.
            return Err(LoadError::DependencyCycle { name: module.name });
        }
        self.check_dependents(from, || new)?;
        #[cfg(feature = "supervision")]
        self.keep_previous(from, &module)?;
        let state = from.map_or(Ok(StateTransfer::Nothing), |from| self.take_over(from, &module))?;
        drop(module);
        let prepare_cycles = self.platform.clock_fenced().saturating_sub(start);
        Ok(self.switch(id, state, prepare_cycles))
    }

    /// Makes a module that is ready the active one, and retires the one that it replaces.
    fn switch(&self, id: ModuleId, state: StateTransfer, prepare_cycles: u64) -> Reloaded {
        let start = self.platform.clock_fenced();
        let old = self.publish_as_active(id);
        if let Some(old) = old
            && cfg!(feature = "interfaces")
            && self.callers.get() > 0
        {
            self.rebind_users(old, id, state == StateTransfer::Lost);
        }
        #[cfg(feature = "events")]
        self.start_events(id, old);
        #[cfg(feature = "devices")]
        self.start_devices(id, old);
        let switch_cycles = self.platform.clock_fenced().saturating_sub(start);
        let replaced = old.and_then(|old| self.retire_replaced(old));
        Reloaded { id, replaced, state, prepare_cycles, switch_cycles }
    }

    /// Publishes the module `id` as the active one of its name. Returns the previously active one.
    fn publish_as_active(&self, id: ModuleId) -> Option<ModuleId> {
        let slot = self.registry.slot(id.index)?;
        let module = slot.get(id.epoch)?;
        let name_entry = self.name_entry(&module)?;
        let old = name_entry.active.get();
        if module.published.get() {
            name_entry.active.set(Some(id));
        } else {
            self.publish(id, slot, &module, name_entry, true);
        }
        old.filter(|old| *old != id)
    }

    /// Retires a module that was replaced.
    fn retire_replaced(&self, old: ModuleId) -> Option<Replaced> {
        let (version, generation) = {
            let module = self.get(old)?;
            (module.version, module.generation.get())
        };
        Some(Replaced { version, generation, receipt: self.retire(old) })
    }

    /// Retires a module. Returns its receipt if no call of it is running, so that it is unloaded at once.
    pub(crate) fn retire(&self, id: ModuleId) -> Option<Receipt> {
        let slot = self.registry.slot(id.index)?;
        self.unpublish(slot, &*slot.get(id.epoch)?);
        self.reap(id)
    }

    /// Ends a retired module, unless a call of it is running or it is pinned.
    pub(crate) fn reap(&self, id: ModuleId) -> Option<Receipt> {
        let slot = self.registry.slot(id.index)?;
        if slot.is_borrowed() {
            return None;
        }
        let module = slot.get(id.epoch)?;
        let name_entry = self.name_entry(&module);
        self.end(slot, module, name_entry).ok()
    }

    /// Ends a replaced module after its last call, and keeps its receipt.
    #[cold]
    #[inline(never)]
    pub(crate) fn reap_retired(&self, id: ModuleId) {
        let receipt = self.keeping_last_fault(|| self.reap(id));
        if let Some(receipt) = receipt {
            let mut receipts = self.receipts.borrow_mut();
            if receipts.iter().all(Option::is_some) {
                // No one takes the receipts, so the oldest is dropped.
                receipts.rotate_left(1);
                receipts.last_mut().into_iter().for_each(|last| *last = None);
            }
            receipts.iter_mut().find(|slot| slot.is_none()).into_iter().for_each(|slot| *slot = Some(receipt));
        }
    }

    /// Takes the oldest receipt of the modules that were replaced during their calls.
    ///
    /// Such a module is unloaded after the last of these calls.
    ///
    /// A call, with the calls nested in it, produces at most [`MAX_DEPTH`](crate::MAX_DEPTH) receipts, and that many
    /// are kept.
    pub fn take_receipt(&self) -> Option<Receipt> {
        let mut receipts = self.receipts.borrow_mut();
        let first = receipts.iter_mut().find_map(Option::take);
        receipts.rotate_left(usize::from(first.is_some()));
        first
    }
}

#[cfg(all(test, feature = "semver"))]
#[path = "reload_tests.rs"]
mod tests;
