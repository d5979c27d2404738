//! What becomes of a module behind a fault: it is stopped, or gets a fresh image.

use crate::error::LoadError;
use crate::lifecycle::ModuleState;
use crate::manager::ModuleManager;
use crate::module::{Module, ModuleId};
use crate::placed::PlacedModule;
use crate::platform::Platform;
use crate::raw::RawModule;
use crate::registry::Slot;
use crate::valid::{Capabilities, ValidModule};

impl<P: Platform> ModuleManager<P> {
    /// Does after a fault what the module's policy says.
    #[cold]
    #[inline(never)]
    pub(crate) fn fail(&self, id: ModuleId) {
        let Some(module) = self.get(id) else { return };
        let faults = &module.faults;
        module.lifecycle.set(ModuleState::Stopped);
        if !cfg!(feature = "restart") || !module.metadata.options().on_fault.restarts(faults.restarts.get()) {
            return;
        }
        match self.remake(&module) {
            Ok(fresh) => {
                drop(module);
                self.restart(id, fresh);
            }
            // An `init` that faults keeps the module from coming back.
            Err(LoadError::InitFaulted(fault)) => {
                module.faults.note(fault, self.platform.diagnosis(), self.platform.allocator())
            }
            Err(_) => {}
        }
    }

    /// A fresh image of a module, made from its blob.
    fn remake(&self, module: &Module<P>) -> Result<PlacedModule<P::Image>, LoadError> {
        let valid = ValidModule::validate(RawModule::parse(module.metadata.blob())?, Capabilities::of(&self.platform))?;
        self.place(&valid, module)
    }

    /// Gives a module a fresh image and takes the old one back. Where another call
    /// of the module is still in the old one, the module stays stopped.
    fn restart(&self, id: ModuleId, fresh: PlacedModule<P::Image>) {
        let mut slot = self.registry.slot(id.index).and_then(Slot::try_borrow_mut);
        let Some(module) = slot.as_deref_mut().and_then(Option::as_deref_mut) else {
            return self.release(fresh.image);
        };
        let restarts = &module.faults.restarts;
        restarts.set(restarts.get().saturating_add(1));
        module.lifecycle.set(ModuleState::Live);
        let old = core::mem::replace(&mut module.placed, fresh);
        self.release(old.image);
    }

    /// Gives the blob of `module` memory once more and calls its `init`.
    pub(crate) fn place(
        &self,
        valid: &ValidModule<'_>,
        module: &Module<P>,
    ) -> Result<PlacedModule<P::Image>, LoadError> {
        let placed = PlacedModule::place(valid, &module.placement, &self.platform)?;
        match self.initialise(module, &placed) {
            Ok(()) => Ok(placed),
            Err(error) => {
                self.release(placed.image);
                Err(error)
            }
        }
    }
}
