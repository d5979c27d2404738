//! Calls of loaded modules: profiled, contained, and followed by a restart if a fault requires one.

use core::cell::Ref;
use core::num::NonZeroU32;

use crate::diagnosis::Diagnosis;
use crate::error::ExecuteError;
use crate::manager::ModuleManager;
use crate::module::lifecycle::ModuleState;
use crate::module::{Failure, Module, ModuleId};
use crate::platform::{CallOutcome, Platform, TimedCall};

impl<P: Platform> ModuleManager<P> {
    /// Calls a module without input or output and profiles the call.
    ///
    /// # Errors
    /// The reason for which there is no result.
    #[inline]
    pub fn execute(&self, id: ModuleId) -> Result<i32, ExecuteError> {
        match self.try_call(id, &[], &mut []) {
            Ok(returned) => Ok(returned.outcome.result),
            Err(failure) => Err(self.to_error(id, failure)),
        }
    }

    /// Calls a module with `input`, lets it write to `output`, and profiles the call.
    ///
    /// # Errors
    /// The reason for which there is no result.
    #[inline]
    pub fn execute_with(&self, id: ModuleId, input: &[u8], output: &mut [u8]) -> Result<CallOutcome, ExecuteError> {
        self.execute_timed(id, input, output).map(|returned| returned.outcome)
    }

    /// Calls a module like [`execute_with`](Self::execute_with), and returns the call's cycles as well.
    ///
    /// # Errors
    /// The reason for which there is no result.
    #[inline]
    pub fn execute_timed(&self, id: ModuleId, input: &[u8], output: &mut [u8]) -> Result<TimedCall, ExecuteError> {
        match self.try_call(id, input, output) {
            Ok(returned) => Ok(returned),
            Err(failure) => Err(self.to_error(id, failure)),
        }
    }

    /// Times one in `every` calls of a module from now on. Returns `false` if the module is gone.
    pub fn sample(&self, id: ModuleId, every: NonZeroU32) -> bool {
        self.get(id).is_some_and(|module| {
            module.sampler.set(every);
            true
        })
    }

    /// Returns the diagnosis of a module's last fault; it is handed out once.
    pub fn take_diagnosis(&self, id: ModuleId) -> Option<Diagnosis> {
        self.get(id)?.take_diagnosis()
    }

    /// Calls a module. The result fits into registers because a [`Failure`] does not carry the error's details.
    #[inline(always)]
    fn try_call(&self, id: ModuleId, input: &[u8], output: &mut [u8]) -> Result<TimedCall, Failure> {
        let module = self.borrow(id)?;
        let done = self.call_profiled(&module, input, output);
        if done.is_ok() && module.lifecycle.is_fast() {
            return done;
        }
        let needs_care = module.lifecycle.needs_care();
        drop(module);
        if needs_care {
            return self.care_for(id, done);
        }
        self.after_call(id, matches!(done, Err(Failure::Faulted)));
        done
    }

    /// Borrows the module `id`, which stays in its slot as long as it is borrowed.
    #[inline(always)]
    pub(crate) fn borrow(&self, id: ModuleId) -> Result<Ref<'_, Module<P>>, Failure> {
        let Some(slot) = self.registry.slot(id.index) else { return Err(Failure::NotLoaded) };
        // A slot is mutably borrowed only while its module is registered, restarted or removed, when no call can get
        // here.
        let Ok(borrowed) = slot.try_borrow() else { return Err(Failure::Refused) };
        match Ref::filter_map(borrowed, Option::as_deref) {
            Ok(module) if module.epoch.get() == Some(id.epoch) => Ok(module),
            _ => Err(Failure::NotLoaded),
        }
    }

    /// Finishes one or several calls once the module is no longer borrowed: handles a fault.
    #[inline(always)]
    pub(crate) fn after_call(&self, id: ModuleId, faulted: bool) {
        if faulted {
            self.fail(id);
        }
    }

    /// Finishes a call of a module that is retired, or whose call was interrupted. Returns what it returned, without the
    /// time of the interruption.
    #[cold]
    #[inline(never)]
    fn care_for(&self, id: ModuleId, mut done: Result<TimedCall, Failure>) -> Result<TimedCall, Failure> {
        let interrupted = self.end_interrupted(id, None);
        if let Ok(returned) = &mut done {
            returned.cycles = returned.cycles.saturating_sub(interrupted);
        }
        self.end_retired(id, matches!(done, Err(Failure::Faulted)));
        done
    }

    /// Finishes calls of a module that may be retired.
    #[cold]
    #[inline(never)]
    pub(crate) fn end_retired(&self, id: ModuleId, faulted: bool) {
        match self.get(id).is_some_and(|module| module.lifecycle.is_retired()) {
            #[cfg(feature = "reload")]
            true => self.reap_retired(id),
            _ => self.after_call(id, faulted),
        }
        self.restart_if_asked(id);
    }

    /// Takes the time that events took off the last reading of a module's `run`, or of a function. Returns that time, in
    /// cycles.
    #[cfg_attr(not(feature = "events"), expect(unused_variables, clippy::unused_self, reason = "there are no events"))]
    pub(crate) fn end_interrupted(&self, id: ModuleId, function: Option<u32>) -> u64 {
        #[cfg(feature = "events")]
        if let Some(module) = self.get(id)
            && module.lifecycle.take_interrupted()
        {
            return self.take_interruption(id, &module, function);
        }
        0
    }

    /// Returns the error for a failure, with its details.
    #[cold]
    #[inline(never)]
    pub(crate) fn to_error(&self, id: ModuleId, failure: Failure) -> ExecuteError {
        match failure {
            Failure::NotLoaded => ExecuteError::NotLoaded,
            Failure::NoMemory => ExecuteError::NoMemory,
            Failure::NoRun => ExecuteError::NoRun,
            Failure::ProfileFull => ExecuteError::ProfileFull,
            Failure::Faulted => self.last_fault.get().map_or(ExecuteError::NotLoaded, ExecuteError::Faulted),
            Failure::Refused => {
                let stopped = self.get(id).filter(|module| module.lifecycle.state() == ModuleState::Stopped);
                let Some(module) = stopped else { return ExecuteError::Busy };
                let Some(fault) = module.faults.last() else { return ExecuteError::Busy };
                #[cfg(feature = "supervision")]
                if let Some((due, _)) = module.metadata.supervision().and_then(|supervision| supervision.due.get()) {
                    let now = self.platform.microseconds().unwrap_or_default();
                    return ExecuteError::Waiting { kind: fault.kind, starts_in_us: due.saturating_sub(now) };
                }
                ExecuteError::Stopped(fault)
            }
        }
    }
}
