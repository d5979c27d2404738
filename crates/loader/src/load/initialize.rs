//! Initialisation of a module in its slot: the state of its predecessor, and its own `init`.

use bareflow_abi::Reason;
use bareflow_abi::header::FLAG_INIT;

use super::publish::PendingModule;
use crate::depends::Candidate;
use crate::error::LoadError;
use crate::manager::ModuleManager;
use crate::module::Module;
use crate::module::placed::PlacedModule;
use crate::platform::{CallFailure, Platform};

impl<P: Platform> PendingModule<'_, P> {
    /// Transfers the state of the replaced module and calls the module's `init`, as far as there are any.
    #[inline(always)]
    pub fn initialize(&mut self) -> Result<(), LoadError> {
        let (manager, replaced) = (self.manager, self.replaced);
        // No one else knows of the module, so its slot is not borrowed.
        let Some(module) = self.filled.slot.module() else { return Err(LoadError::CandidateGone) };
        #[cfg(feature = "parameters")]
        if module.metadata.is_some() {
            manager.call_parameters(&module, &module.placed)?;
        }
        let has_imports = module.metadata.has_imports();
        if has_imports {
            manager.bind_imports(&module, replaced)?;
        }
        if cfg!(feature = "reload")
            && let Some(replaced) = replaced
        {
            self.state_transfer = manager.transfer_state(replaced, &module)?;
        }
        if module.flags & FLAG_INIT != 0 {
            manager.call_init(&module, &module.placed)?;
        }
        // Another load may have run during the module's `init`.
        if !module.metadata.depends().is_empty() {
            manager.check_dependencies(&Candidate::from(&*module), replaced)?;
        }
        if has_imports && module.flags & FLAG_INIT != 0 {
            manager.bind_imports(&module, replaced)?;
        }
        drop(module);
        Ok(())
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Calls the `init` of `module` in the image `placed`, if it has one.
    pub(crate) fn call_init(&self, module: &Module<P>, placed: &PlacedModule<P::Image>) -> Result<(), LoadError> {
        if module.flags & FLAG_INIT == 0 {
            return Ok(());
        }
        match self.call_in(module, placed, Reason::Init) {
            Ok(0) => Ok(()),
            Ok(result) => Err(LoadError::InitFailed { result }),
            Err(CallFailure::Fault(fault)) => Err(LoadError::InitFaulted(fault)),
            Err(CallFailure::NoMemory) => Err(LoadError::NoMemoryForInit),
        }
    }
}
