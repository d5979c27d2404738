//! Hot reload: a module takes the place of the one its name stands for, which goes behind its last call.

use crate::depends::Candidate;
use crate::error::LoadError;
use crate::lifecycle::ModuleState;
use crate::load::IfLoaded;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::name::Version;
use crate::platform::Platform;
use crate::policy::LoadOptions;
use crate::state::StateTransfer;
use crate::unload::Receipt;

/// What came of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// The new module.
    pub id: ModuleId,
    /// The one it took the place of, if there was one.
    pub replaced: Option<Replaced>,
    /// What became of the old one's state.
    pub state: StateTransfer,
    /// Cycles until the new one was ready.
    pub prepare_cycles: u64,
    /// Cycles it took to have the name stand for it.
    pub switch_cycles: u64,
}

/// A module that another one took the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Its version.
    pub version: Version,
    /// Its generation.
    pub generation: u32,
    /// What it gave back; nothing yet while calls of it are under way: they end in its code.
    pub receipt: Option<Receipt>,
}

impl<P: Platform> ModuleManager<P> {
    /// Loads `blob` in place of the module its name stands for, or as
    /// [`load_with`](Self::load_with) where there is none. The new one is validated, placed and
    /// initialised first; then one step makes it the one that calls by name run. Calls under
    /// way end in the old one's code; then that is unloaded.
    ///
    /// # Errors
    /// The reason for which the new one is refused; then the old one goes on as if nothing had been.
    pub fn replace(&self, blob: &[u8], options: &LoadOptions) -> Result<Reloaded, LoadError> {
        let start = self.platform.clock_fenced();
        let pending = self.load_pending(blob, options, IfLoaded::Replace)?;
        // Its `init` may have been interrupted by another reload.
        let replaced = pending.replaced;
        match pending.filled.slot.module() {
            Some(module) if pending.filled.name_entry.active.get() == replaced => {
                self.check_dependents(replaced, || Candidate::from(&*module))?;
            }
            _ => return Err(LoadError::Overtaken),
        }
        let prepare_cycles = self.platform.clock_fenced().saturating_sub(start);
        let state_transfer = pending.state_transfer;
        Ok(self.switch(pending.go_live(None), state_transfer, prepare_cycles))
    }

    /// Loads `blob` so that nobody finds it by its name: to try it out before it
    /// takes a place by [`promote`](Self::promote), or goes by [`unload`](Self::unload).
    ///
    /// # Errors
    /// As [`replace`](Self::replace).
    pub fn load_candidate(&self, blob: &[u8], options: &LoadOptions) -> Result<ModuleId, LoadError> {
        Ok(self.load_pending(blob, options, IfLoaded::Replace)?.go_live(None))
    }

    /// Has a candidate take the place of the module its name stands for, with the state that one has now.
    ///
    /// # Errors
    /// Why it can't take over that state, or that place; then the old one goes on. [`LoadError::CandidateGone`] when it is gone.
    pub fn promote(&self, id: ModuleId) -> Result<Reloaded, LoadError> {
        let start = self.platform.clock_fenced();
        let module = self.get(id).filter(|module| !module.lifecycle.is_retired()).ok_or(LoadError::CandidateGone)?;
        let from = self.active(&module.name).filter(|&from| from != id);
        let new = Candidate::from(&*module);
        self.check_dependencies(&new, from)?;
        self.check_dependents(from, || new)?;
        let state = from.map_or(Ok(StateTransfer::Nothing), |from| self.transfer_state(from, &module))?;
        drop(module);
        let prepare_cycles = self.platform.clock_fenced().saturating_sub(start);
        Ok(self.switch(id, state, prepare_cycles))
    }

    /// Has a module that is ready take its place, and what was there go.
    fn switch(&self, id: ModuleId, state: StateTransfer, prepare_cycles: u64) -> Reloaded {
        let start = self.platform.clock_fenced();
        let old = self.publish_as_active(id);
        let switch_cycles = self.platform.clock_fenced().saturating_sub(start);
        let replaced = old.and_then(|old| self.retire_replaced(old));
        Reloaded { id, replaced, state, prepare_cycles, switch_cycles }
    }

    /// The switch itself: from now on the module's name stands for it. Returns what it stood for.
    fn publish_as_active(&self, id: ModuleId) -> Option<ModuleId> {
        let slot = self.registry.slot(id.index)?;
        let module = slot.get(id.epoch)?;
        let name_entry = self.name_entry(&module)?;
        let old = name_entry.active.get();
        self.publish(slot, &module, name_entry, true);
        old.filter(|old| *old != id)
    }

    /// Has a module go whose place is taken.
    fn retire_replaced(&self, old: ModuleId) -> Option<Replaced> {
        let (version, generation) = {
            let module = self.get(old)?;
            (module.version, module.generation.get())
        };
        Some(Replaced { version, generation, receipt: self.retire(old) })
    }

    /// Has a module go as soon as no call of it is under way, which may be at once: then its receipt is returned.
    pub(crate) fn retire(&self, id: ModuleId) -> Option<Receipt> {
        let slot = self.registry.slot(id.index)?;
        self.unpublish(slot, &*slot.get(id.epoch)?);
        self.reap(id)
    }

    /// Ends a retired module, unless a call of it is under way or it is pinned.
    pub(crate) fn reap(&self, id: ModuleId) -> Option<Receipt> {
        let slot = self.registry.slot(id.index)?;
        if slot.is_borrowed() {
            return None;
        }
        let module = slot.get(id.epoch).filter(|module| module.lifecycle.state() != ModuleState::Running)?;
        let name_entry = self.name_entry(&module);
        self.end(slot, module, name_entry).ok()
    }

    /// Ends a module that was replaced, behind its last call.
    #[cold]
    #[inline(never)]
    pub(crate) fn reap_retired(&self, id: ModuleId) {
        if let Some(receipt) = self.reap(id) {
            let mut receipts = self.receipts.borrow_mut();
            if receipts.iter().all(Option::is_some) {
                // Nobody takes them.
                receipts.rotate_left(1);
                receipts.last_mut().into_iter().for_each(|last| *last = None);
            }
            receipts.iter_mut().find(|slot| slot.is_none()).into_iter().for_each(|slot| *slot = Some(receipt));
        }
    }

    /// Takes the receipt of a module that was replaced while calls of it were under way, and went behind the last one:
    /// of those that were not taken yet the oldest one. One call, with those that lie in it, leaves
    /// [`MAX_DEPTH`](crate::MAX_DEPTH) of them at the most, and so many are kept.
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
