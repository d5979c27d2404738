//! Initialisation of a module in its slot: the state of its predecessor, and its own `init`.

use bareflow_abi::Reason;
use bareflow_abi::header::{FLAG_INIT, FLAG_STATE};

use super::publish::PendingModule;
use super::state::StateTransfer;
use crate::depends::Candidate;
use crate::error::LoadError;
use crate::manager::ModuleManager;
use crate::module::placed::PlacedModule;
use crate::module::{Module, ModuleId};
use crate::platform::{CallFailure, Platform};

impl<P: Platform> PendingModule<'_, P> {
    /// Hands over the parameters, binds the imports, transfers the state of the replaced module and calls the module's
    /// `init`, as far as there are any.
    #[inline(always)]
    pub fn initialize(&mut self) -> Result<(), LoadError> {
        let (manager, replaced) = (self.manager, self.replaced);
        // No one else knows of the module, so its slot is not borrowed.
        let Some(module) = self.filled.slot.module() else { return Err(LoadError::CandidateGone) };
        if module.metadata.is_some() || module.flags & FLAG_INIT != 0 {
            if let Some(interfaces) = module.metadata.interfaces() {
                #[cfg(any(feature = "events", feature = "regions"))]
                interfaces.owner.set(Some(self.id()));
                interfaces.caller.set(manager.caller_number(self.id(), replaced));
            }
            #[cfg(feature = "events")]
            manager.add_events(self.id(), &module)?;
            self.state_transfer = manager.initialize(&module, replaced)?;
        } else if cfg!(feature = "reload")
            && let Some(replaced) = replaced
        {
            self.state_transfer = manager.transfer_state(replaced, &module)?;
        }
        Ok(())
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Returns the number by which providers know a module: that of the module which it replaces, or one of its load.
    fn caller_number(&self, id: ModuleId, replaced: Option<ModuleId>) -> u32 {
        let before = replaced.and_then(|replaced| self.get(replaced));
        let before = before.and_then(|before| before.metadata.interfaces().map(|interfaces| interfaces.caller.get()));
        // 0 is the embedder.
        before.unwrap_or((id.epoch.get() as u32).max(1))
    }

    /// Initialises a module that has an `init`, or metadata. Returns the result of the state transfer.
    #[inline(never)]
    fn initialize(&self, module: &Module<P>, replaced: Option<ModuleId>) -> Result<StateTransfer, LoadError> {
        #[cfg(feature = "portable")]
        if let Some(replaced) = replaced
            && self.carry(replaced, module)?
        {
            // Nothing of it is called: it is where the other one was.
            if module.metadata.calls_others() {
                self.bind_imports(module, Some(replaced))?;
            }
            return Ok(StateTransfer::Carried);
        }
        #[cfg(feature = "parameters")]
        self.call_parameters(module, &module.placed)?;
        let has_imports = module.lifecycle.is_slow_path_only() && module.metadata.has_imports();
        if has_imports {
            self.bind_imports(module, replaced)?;
        }
        let state_transfer = match replaced {
            Some(replaced) if cfg!(feature = "reload") => self.transfer_state(replaced, module)?,
            _ => StateTransfer::Nothing,
        };
        self.call_init(module, &module.placed)?;
        // Another load may have run during the module's `init`, or while the state was handed over.
        if has_imports || !module.metadata.depends().is_empty() {
            self.check_dependencies(&Candidate::from(module), replaced)?;
        }
        if has_imports && module.flags & (FLAG_INIT | FLAG_STATE) != 0 {
            self.bind_imports(module, replaced)?;
        }
        Ok(state_transfer)
    }

    /// Lets a candidate that was initialised take over what the module `from` has by now: its instance or its state.
    #[cfg(feature = "reload")]
    pub(crate) fn take_over(&self, from: ModuleId, new: &Module<P>) -> Result<StateTransfer, LoadError> {
        #[cfg(feature = "portable")]
        if self.carry(from, new)? {
            return Ok(StateTransfer::Carried);
        }
        self.transfer_state(from, new)
    }

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
