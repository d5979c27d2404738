//! Calls of loaded modules: profiled, contained, and followed by a restart
//! where a fault calls for one.

use bareflow_abi::Reason;
use bareflow_abi::header::FLAG_REENTRANT;

use crate::diagnosis::Diagnosis;
use crate::error::{ExecuteError, LoadError};
use crate::fault::Fault;
use crate::manager::ModuleManager;
use crate::module::{Failure, Module, ModuleId, State};
use crate::platform::{Call, CallError, Outcome, Platform, Returned};
use crate::raw::RawModule;
use crate::valid::{Offer, ValidModule};

impl<P: Platform> ModuleManager<P> {
    /// Calls a module without input or output and profiles the call.
    ///
    /// # Errors
    /// The reason for which there is no result.
    #[inline]
    pub fn execute(&self, id: ModuleId) -> Result<i32, ExecuteError> {
        match self.attempt(id, &[], &mut []) {
            Ok(outcome) => Ok(outcome.result),
            Err(failure) => Err(self.explain(id, failure)),
        }
    }

    /// Calls a module with `input`, lets it write to `output`, and profiles the call.
    ///
    /// # Errors
    /// The reason for which there is no result.
    #[inline]
    pub fn execute_with(&self, id: ModuleId, input: &[u8], output: &mut [u8]) -> Result<Outcome, ExecuteError> {
        match self.attempt(id, input, output) {
            Ok(outcome) => Ok(outcome),
            Err(failure) => Err(self.explain(id, failure)),
        }
    }

    /// The diagnosis of a module's last fault; it is handed out once.
    pub fn take_diagnosis(&self, id: ModuleId) -> Option<Diagnosis> {
        self.get(id)?.faults.diagnosis.take().map(|diagnosis| *diagnosis)
    }

    /// Calls a module. What comes of it fits into registers: the errors' details are left where they are.
    #[inline(always)]
    fn attempt(&self, id: ModuleId, input: &[u8], output: &mut [u8]) -> Result<Outcome, Failure> {
        let Some(module) = self.get(id) else { return Err(Failure::NotLoaded) };
        let state = module.state.get();
        if state != State::Ready && !(state == State::Running && module.flags & FLAG_REENTRANT != 0) {
            return Err(Failure::Refused);
        }
        let Some(samples) = module.recorder.samples(|| self.platform.tables()) else {
            return Err(Failure::ProfileFull);
        };
        // Only a restart borrows for writing, and it never runs while a call does.
        let Ok(placed) = module.placed.try_borrow() else { return Err(Failure::Refused) };
        let (image, entry, timing) = (&placed.image, placed.entry, self.timing);
        let call = Call { module: &module.name, image, entry, reason: Reason::Run, input, timing };
        module.state.set(State::Running);
        match self.platform.call(&call, output) {
            Ok(Returned { outcome, cycles }) => {
                module.state.set(state);
                samples.push(cycles);
                module.last_result.set(Some(outcome.result));
                Ok(outcome)
            }
            Err(CallError::NoMemory) => {
                module.state.set(state);
                Err(Failure::NoMemory)
            }
            Err(CallError::Fault(fault)) => {
                drop(placed);
                self.fail(module, fault);
                Err(Failure::Faulted)
            }
        }
    }

    /// Does after a fault what the module's policy says.
    #[cold]
    #[inline(never)]
    fn fail(&self, module: &Module<P>, fault: Fault) {
        let faults = &module.faults;
        faults.note(fault, self.platform.diagnosis());
        module.state.set(State::Stopped);
        if !faults.policy.restarts(faults.restarts.get()) {
            return;
        }
        match self.restart(module) {
            Ok(()) => {
                faults.restarts.set(faults.restarts.get().saturating_add(1));
                module.state.set(State::Ready);
            }
            // An `init` that faults keeps the module from coming back.
            Err(LoadError::InitFaulted(fault)) => faults.note(fault, self.platform.diagnosis()),
            Err(_) => {}
        }
    }

    /// Gives a module a fresh image, made from its blob, and takes the old one back.
    fn restart(&self, module: &Module<P>) -> Result<(), LoadError> {
        // Another call of the module may still be in the old image.
        let Ok(mut placed) = module.placed.try_borrow_mut() else { return Err(LoadError::TableFull) };
        let valid = ValidModule::validate(RawModule::parse(&module.faults.blob)?, Offer::of(&self.platform))?;
        let fresh = self.place(&valid, &module.placement)?;
        let old = core::mem::replace(&mut *placed, fresh);
        self.platform.release(old.image);
        Ok(())
    }

    /// The error that a failure stands for.
    #[cold]
    #[inline(never)]
    fn explain(&self, id: ModuleId, failure: Failure) -> ExecuteError {
        let module = self.get(id);
        let fault = module.and_then(|module| module.faults.last.get());
        let stopped = module.is_some_and(|module| module.state.get() == State::Stopped);
        match (failure, fault) {
            (Failure::ProfileFull, _) => ExecuteError::ProfileFull,
            (Failure::NoMemory, _) => ExecuteError::NoMemory,
            (Failure::Refused, Some(fault)) if stopped => ExecuteError::Stopped(fault),
            (Failure::Refused, _) => ExecuteError::Busy,
            (Failure::Faulted, Some(fault)) => ExecuteError::Faulted(fault),
            (Failure::NotLoaded | Failure::Faulted, _) => ExecuteError::NotLoaded,
        }
    }
}
