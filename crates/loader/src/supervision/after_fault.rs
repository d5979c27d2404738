//! The handling of a module after a fault: it is stopped, or restarted with a fresh image.

use crate::error::LoadError;
use crate::format::raw::RawModule;
use crate::format::valid::{Capabilities, ValidModule};
use crate::manager::ModuleManager;
#[cfg(feature = "regions")]
use crate::module::Index;
use crate::module::placed::PlacedModule;
use crate::module::{Module, ModuleId};
use crate::name::Name;
use crate::platform::{Occurrence, Platform};
use crate::registry::Slot;
use bareflow_abi::events;

impl<P: Platform> ModuleManager<P> {
    /// Applies the module's fault policy.
    #[cold]
    #[inline(never)]
    pub(crate) fn fail(&self, id: ModuleId) {
        // Other calls of it may be running.
        #[cfg(feature = "regions")]
        let is_running = self.registry.slot(id.index).is_some_and(Slot::is_borrowed);
        let Some(module) = self.get(id) else { return };
        let faults = &module.faults;
        module.lifecycle.stop();
        #[cfg(feature = "events")]
        self.stop_events(&module);
        #[cfg(feature = "regions")]
        self.lose_regions(id.index as Index, &module.metadata, is_running);
        self.platform.trace(&module.name, Occurrence::Stopped);
        self.publish_own(&module.name, events::FAULTED);
        #[cfg(feature = "supervision")]
        if let Some(supervision) = module.metadata.supervision() {
            return self.supervise(&module, supervision);
        }
        if !cfg!(feature = "restart") || !module.metadata.options().on_fault.restarts(faults.restarts.get()) {
            return self.publish_own(&module.name, events::STOPPED);
        }
        // What the caller is told is its own fault, not one of a call that an `init` makes.
        let last_fault = self.last_fault.get();
        let remade = self.remake(id, &module);
        self.last_fault.set(last_fault);
        match remade {
            Ok(fresh) => {
                drop(module);
                self.swap_image(id, fresh);
            }
            // A module whose `init` faults stays stopped.
            Err(LoadError::InitFaulted(fault) | LoadError::ParametersFaulted(fault)) => {
                module.faults.note(&module.faults.count, fault, self.platform.diagnosis(), self.platform.allocator());
                self.publish_own(&module.name, events::STOPPED);
            }
            Err(_) => self.publish_own(&module.name, events::STOPPED),
        }
    }

    /// Publishes a notification in the name of a module.
    #[inline]
    fn publish_own(&self, name: &Name, notification: &str) {
        #[cfg(feature = "events")]
        self.notify_for(name, notification);
        #[cfg(not(feature = "events"))]
        let _ = (name, notification);
    }

    /// Creates a fresh image of a module from its blob.
    pub(super) fn remake(&self, id: ModuleId, module: &Module<P>) -> Result<PlacedModule<P::Image>, LoadError> {
        let valid = ValidModule::validate(RawModule::parse(module.metadata.blob())?, Capabilities::of(&self.platform))?;
        self.place_anew(id, &valid, module)
    }

    /// Places the blob of the module `id` once more, without its timers and regions, and calls its `init`, which may arm
    /// and make some.
    pub(super) fn place_anew(
        &self,
        id: ModuleId,
        valid: &ValidModule<'_>,
        module: &Module<P>,
    ) -> Result<PlacedModule<P::Image>, LoadError> {
        #[cfg(feature = "events")]
        self.reset_events(module);
        #[cfg(feature = "regions")]
        self.lose_regions(id.index as Index, &module.metadata, false);
        #[cfg(not(feature = "regions"))]
        let _ = id;
        let placed = self.place(valid, module);
        #[cfg(feature = "events")]
        if placed.is_err() {
            self.restore_events(module);
        }
        placed
    }

    /// Replaces a module's image by a fresh one and frees the old one. Returns whether it did.
    ///
    /// If another call of the module is still running in the old image, the module stays stopped.
    pub(super) fn swap_image(&self, id: ModuleId, fresh: PlacedModule<P::Image>) -> bool {
        let mut slot = self.registry.slot(id.index).and_then(Slot::try_borrow_mut);
        let Some(module) = slot.as_deref_mut().and_then(Option::as_deref_mut) else {
            self.release(fresh.image);
            return false;
        };
        let restarts = &module.faults.restarts;
        restarts.set(restarts.get().saturating_add(1));
        module.lifecycle.resume();
        self.platform.trace(&module.name, Occurrence::Restarted);
        let name = module.name;
        let old = core::mem::replace(&mut module.placed, fresh);
        drop(slot);
        self.release(old.image);
        #[cfg(feature = "events")]
        self.start_events(id, None);
        self.publish_own(&name, events::RESTARTED);
        true
    }

    /// Places the blob of `module` once more and calls its `init`.
    pub(crate) fn place(
        &self,
        valid: &ValidModule<'_>,
        module: &Module<P>,
    ) -> Result<PlacedModule<P::Image>, LoadError> {
        let placed = PlacedModule::place(valid, &module.placement, &self.platform)?;
        #[cfg(feature = "parameters")]
        let called = self.call_parameters(module, &placed).and_then(|()| self.call_init(module, &placed));
        #[cfg(not(feature = "parameters"))]
        let called = self.call_init(module, &placed);
        match called {
            Ok(()) => Ok(placed),
            Err(error) => {
                self.release(placed.image);
                Err(error)
            }
        }
    }
}
