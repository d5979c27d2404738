//! Calls of loaded modules: profiled, contained, and followed by a restart
//! where a fault calls for one.

use bareflow_abi::Reason;
use bareflow_abi::header::FLAG_REENTRANT;

use crate::diagnosis::Diagnosis;
use crate::error::{ExecuteError, LoadError};
use crate::manager::ModuleManager;
use crate::module::{Failure, Module, ModuleId, State};
use crate::placed::PlacedModule;
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
            Ok(returned) => Ok(returned.outcome.result),
            Err(failure) => Err(self.explain(id, failure)),
        }
    }

    /// Calls a module with `input`, lets it write to `output`, and profiles the call.
    ///
    /// # Errors
    /// The reason for which there is no result.
    #[inline]
    pub fn execute_with(&self, id: ModuleId, input: &[u8], output: &mut [u8]) -> Result<Outcome, ExecuteError> {
        self.execute_timed(id, input, output).map(|returned| returned.outcome)
    }

    /// The same, and says how many cycles the call took.
    ///
    /// # Errors
    /// The reason for which there is no result.
    #[inline]
    pub fn execute_timed(&self, id: ModuleId, input: &[u8], output: &mut [u8]) -> Result<Returned, ExecuteError> {
        match self.attempt(id, input, output) {
            Ok(returned) => Ok(returned),
            Err(failure) => Err(self.explain(id, failure)),
        }
    }

    /// The diagnosis of a module's last fault; it is handed out once.
    pub fn take_diagnosis(&self, id: ModuleId) -> Option<Diagnosis> {
        self.get(id)?.faults.diagnosis.take().map(|diagnosis| *diagnosis)
    }

    /// Calls a module. What comes of it fits into registers: the errors' details are left where they are.
    #[inline(always)]
    fn attempt(&self, id: ModuleId, input: &[u8], output: &mut [u8]) -> Result<Returned, Failure> {
        let Some(place) = self.table.place(id.index) else { return Err(Failure::NotLoaded) };
        // Borrowed for writing only while nobody can be here: when the module is registered, restarted or taken out.
        let Ok(borrowed) = place.try_borrow() else { return Err(Failure::Refused) };
        let Some(module) = borrowed.as_ref().filter(|module| module.load == id.load && !module.retired.get()) else {
            return Err(Failure::NotLoaded);
        };
        let state = module.state.get();
        if state != State::Ready && !(state == State::Running && module.flags & FLAG_REENTRANT != 0) {
            return Err(Failure::Refused);
        }
        let Some(samples) = module.recorder.samples(|| self.platform.tables()) else {
            return Err(Failure::ProfileFull);
        };
        let (image, entry, timing) = (&module.placed.image, module.placed.entry, self.timing);
        let call = Call { module: &module.name, image, entry, reason: Reason::Run, input, timing };
        module.state.set(State::Running);
        let done = match self.call_platform(&call, &module.depends, output) {
            Ok(returned) => {
                samples.push(returned.cycles);
                module.last_result.set(Some(returned.outcome.result));
                Ok(returned)
            }
            Err(CallError::NoMemory) => Err(Failure::NoMemory),
            Err(CallError::Fault(fault)) => {
                module.faults.note(fault, self.platform.diagnosis());
                self.last_fault.set(Some(fault));
                Err(Failure::Faulted)
            }
        };
        module.state.set(state);
        let retired = module.retired.get();
        drop(borrowed);
        if retired {
            self.leave_retired(id);
        } else if matches!(done, Err(Failure::Faulted)) {
            self.fail(id);
        }
        done
    }

    /// Ends a module that was replaced, behind its last call.
    #[cold]
    #[inline(never)]
    pub(crate) fn leave_retired(&self, id: ModuleId) {
        if let Some(receipt) = self.reap(id) {
            self.receipt.set(Some(receipt));
        }
    }

    /// Does after a fault what the module's policy says.
    #[cold]
    #[inline(never)]
    pub(crate) fn fail(&self, id: ModuleId) {
        let Some(module) = self.get(id) else { return };
        let faults = &module.faults;
        module.state.set(State::Stopped);
        if !faults.policy.restarts(faults.restarts.get()) {
            return;
        }
        match self.remake(&module) {
            Ok(fresh) => {
                drop(module);
                self.restart(id, fresh);
            }
            // An `init` that faults keeps the module from coming back.
            Err(LoadError::InitFaulted(fault)) => faults.note(fault, self.platform.diagnosis()),
            Err(_) => {}
        }
    }

    /// A fresh image of a module, made from its blob.
    fn remake(&self, module: &Module<P>) -> Result<PlacedModule<P::Image>, LoadError> {
        let valid = ValidModule::validate(RawModule::parse(&module.faults.blob)?, Offer::of(&self.platform))?;
        self.place(&valid, module)
    }

    /// Gives a module a fresh image and takes the old one back. Where another call
    /// of the module is still in the old one, the module stays stopped.
    fn restart(&self, id: ModuleId, fresh: PlacedModule<P::Image>) {
        let mut place = self.table.place(id.index).and_then(|place| place.try_borrow_mut().ok());
        let Some(module) = place.as_deref_mut().and_then(Option::as_mut) else {
            return self.platform.release(fresh.image);
        };
        let restarts = &module.faults.restarts;
        restarts.set(restarts.get().saturating_add(1));
        module.state.set(State::Ready);
        let old = core::mem::replace(&mut module.placed, fresh);
        self.platform.release(old.image);
    }

    /// The error that a failure stands for.
    #[cold]
    #[inline(never)]
    fn explain(&self, id: ModuleId, failure: Failure) -> ExecuteError {
        let module = self.get(id);
        let fault = module.as_ref().and_then(|module| module.faults.last.get());
        let stopped = module.is_some_and(|module| module.state.get() == State::Stopped);
        match (failure, fault) {
            (Failure::ProfileFull, _) => ExecuteError::ProfileFull,
            (Failure::NoMemory, _) => ExecuteError::NoMemory,
            (Failure::Refused, Some(fault)) if stopped => ExecuteError::Stopped(fault),
            (Failure::Refused, _) => ExecuteError::Busy,
            (Failure::Faulted, _) => self.last_fault.get().map_or(ExecuteError::NotLoaded, ExecuteError::Faulted),
            (Failure::NotLoaded, _) => ExecuteError::NotLoaded,
        }
    }
}
