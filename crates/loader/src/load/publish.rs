//! Publication: a module in its slot becomes live and can be found, or leaves no trace.

use crate::load::state::StateTransfer;
use crate::manager::ModuleManager;
use crate::module::lifecycle::ModuleState;
use crate::module::{Module, ModuleId};
use crate::platform::Platform;
use crate::registry::{FilledSlot, NameEntry, Slot};

/// A module in its slot that can't be found yet. If it is dropped before it goes live, it is discarded.
pub(crate) struct PendingModule<'manager, P: Platform> {
    pub manager: &'manager ModuleManager<P>,
    pub filled: FilledSlot<'manager, P>,
    /// The module that it will replace.
    pub replaced: Option<ModuleId>,
    /// The result of the transfer of that module's state.
    pub state_transfer: StateTransfer,
    live: bool,
}

impl<'manager, P: Platform> PendingModule<'manager, P> {
    /// Wraps a slot that was just filled with a module that will replace `replaced`.
    #[inline(always)]
    pub fn new(
        manager: &'manager ModuleManager<P>,
        filled: FilledSlot<'manager, P>,
        replaced: Option<ModuleId>,
    ) -> PendingModule<'manager, P> {
        PendingModule { manager, filled, replaced, state_transfer: StateTransfer::Nothing, live: false }
    }

    /// Makes the module callable, and publishes it if `published` is set. Returns its handle.
    ///
    /// A published module can be found by its name. It becomes the active one if `published` is `Some(true)`, or if the
    /// name had none.
    #[inline]
    pub fn go_live(mut self, published: Option<bool>) -> ModuleId {
        self.live = true;
        let FilledSlot { slot, name_entry, .. } = self.filled;
        let id = self.id();
        if let Some(module) = slot.module() {
            self.manager.count_module(&module, true);
            let generation = name_entry.generation.get().saturating_add(1);
            name_entry.generation.set(generation);
            module.generation.set(generation);
            if let Some(active) = published {
                self.manager.publish(id, slot, &module, name_entry, active);
            }
            module.lifecycle.set(ModuleState::Live);
            #[cfg(feature = "events")]
            if published.is_some() && module.metadata.is_some() {
                drop(module);
                self.manager.start_events(id, None);
                #[cfg(feature = "devices")]
                self.manager.start_devices(id, None);
            }
        }
        id
    }

    /// Returns the handle that the module has once it is live.
    #[inline(always)]
    pub fn id(&self) -> ModuleId {
        ModuleId { index: self.filled.slot.index() as usize, epoch: self.filled.epoch }
    }
}

impl<P: Platform> Drop for PendingModule<'_, P> {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.live {
            self.manager.discard(self.filled.slot, self.filled.name_entry);
        }
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Releases the slot, the name and the image of a module that did not go live.
    #[cold]
    #[inline(never)]
    fn discard(&self, slot: &Slot<P>, name_entry: &NameEntry) {
        #[cfg(feature = "devices")]
        self.release_devices(slot.index());
        #[cfg(feature = "regions")]
        if let Some(module) = slot.module() {
            self.lose_regions(slot.index(), &module.metadata, false);
        }
        if let Some(module) = slot.take() {
            self.registry.release(slot, Some(name_entry));
            #[cfg(feature = "events")]
            self.remove_events(&module.metadata);
            self.release(module.placed.image);
        }
    }

    /// Publishes `module`, whose handle is `id` and which is not published, so that it can be found by its name.
    ///
    /// It becomes the active one if `active`, or if the name had none.
    #[inline(always)]
    pub(crate) fn publish(
        &self,
        id: ModuleId,
        slot: &Slot<P>,
        module: &Module<P>,
        name_entry: &NameEntry,
        active: bool,
    ) {
        module.published.set(true);
        self.registry.link(slot, name_entry);
        if active || name_entry.active.get().is_none() {
            name_entry.active.set(Some(id));
        }
    }
}
