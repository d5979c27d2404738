//! Calls of loaded modules: profiled, contained, and followed by a restart
//! where a fault calls for one.

use core::cell::Ref;
use core::num::NonZeroU32;

use bareflow_abi::Reason;

use crate::diagnosis::Diagnosis;
use crate::error::ExecuteError;
use crate::manager::ModuleManager;
use crate::module::{Failure, Module, ModuleId};
use crate::platform::{Call, CallError, Outcome, Plain, Platform, Returned};
use crate::profile::Timing;
use crate::profile::samples::Samples;
use crate::profile::turns::Turn;
use crate::standing::State;

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

    /// Times one in `every` calls of a module from now on. Returns `false` when it is gone.
    pub fn sample(&self, id: ModuleId, every: NonZeroU32) -> bool {
        self.get(id).is_some_and(|module| {
            module.turns.set(every);
            true
        })
    }

    /// The diagnosis of a module's last fault; it is handed out once.
    pub fn take_diagnosis(&self, id: ModuleId) -> Option<Diagnosis> {
        self.get(id)?.take_diagnosis()
    }

    /// Calls a module. What comes of it fits into registers: the errors' details are left where they are.
    #[inline(always)]
    fn attempt(&self, id: ModuleId, input: &[u8], output: &mut [u8]) -> Result<Returned, Failure> {
        let module = self.borrow(id)?;
        let done = self.call_once(&module, input, output);
        if done.is_ok() && module.standing.is_usual() {
            return done;
        }
        let retired = module.standing.is_retired();
        drop(module);
        self.settle(id, retired, matches!(done, Err(Failure::Faulted)));
        done
    }

    /// Calls a module that is borrowed. The way that most calls go is short, and writes no result to memory.
    #[inline(always)]
    pub(crate) fn call_once(&self, module: &Module<P>, input: &[u8], output: &mut [u8]) -> Result<Returned, Failure> {
        if P::HAS_USUAL_WAY && input.is_empty() && output.is_empty() && module.standing.is_usual() {
            match (module.turns.usual(), module.recorder.get()) {
                (Turn::Timed, Some(samples)) if !samples.is_folded() => {
                    return self.call_usual(module, self.timing, false, |cycles| samples.push(cycles));
                }
                (Turn::Counted, _) => return self.call_usual(module, Timing::Untimed, false, |_| ()),
                _ => {}
            }
        }
        let mut returned = NOT_YET;
        self.call_fully(module, input, output, &mut returned)?;
        Ok(again(&returned))
    }

    /// Calls a module that is ready in the usual way, and has `take` take the reading.
    #[inline(always)]
    fn call_usual(
        &self,
        module: &Module<P>,
        timing: Timing,
        thorough: bool,
        take: impl FnOnce(u64),
    ) -> Result<Returned, Failure> {
        let mut otherwise = Err(CallError::NoMemory);
        module.standing.begin_usual();
        let call = Call { thorough, ..run(module, &[], timing) };
        match self.platform.call_plain(&call, &mut otherwise) {
            Some(Plain { result, cycles }) => {
                module.standing.set(State::Ready);
                take(cycles);
                module.last_result.set(result);
                Ok(Returned { outcome: Outcome { result, output_length: 0 }, cycles })
            }
            None => {
                let mut returned = NOT_YET;
                self.finish_unusual(module, timing, &otherwise, &mut returned)?;
                Ok(again(&returned))
            }
        }
    }

    /// Calls a module that is borrowed, in any way. What comes of it is in `returned`, unless it failed.
    #[inline(never)]
    fn call_fully(
        &self,
        module: &Module<P>,
        input: &[u8],
        output: &mut [u8],
        returned: &mut Returned,
    ) -> Result<(), Failure> {
        let is_plain = P::HAS_USUAL_WAY && input.is_empty() && output.is_empty();
        if !is_plain || !module.standing.is_usual() || !module.turns.times_all() {
            return self.call_otherwise(module, input, output, returned);
        }
        // The first call of all, or one in some hundred.
        let samples = self.samples(module)?;
        *returned = self.call_usual(module, self.timing, true, |cycles| samples.push(cycles))?;
        Ok(())
    }

    /// The same where it does not go the usual way.
    #[inline(never)]
    fn call_otherwise(
        &self,
        module: &Module<P>,
        input: &[u8],
        output: &mut [u8],
        returned: &mut Returned,
    ) -> Result<(), Failure> {
        let state = module.callable()?;
        let timing = module.turns.next(self.timing);
        // The first call of all, and one in some hundred.
        let thorough = timing != Timing::Untimed && self.samples(module)?.is_folded();
        let call = Call { thorough, ..run(module, input, timing) };
        let is_plain = input.is_empty() && output.is_empty() && !module.standing.is_special();
        module.standing.set(State::Running);
        let done = self.call_either_way(&call, is_plain, module.kept.depends(), output);
        self.finish(module, state, timing, &done, returned)
    }

    /// Takes note of a call that began in the usual way, and is at its end in another one.
    #[cold]
    #[inline(never)]
    fn finish_unusual(
        &self,
        module: &Module<P>,
        timing: Timing,
        done: &Result<Returned, CallError>,
        returned: &mut Returned,
    ) -> Result<(), Failure> {
        self.finish(module, State::Ready, timing, done, returned)
    }

    /// Takes note of a call that is at its end, of a module that was in that state before.
    #[inline(always)]
    fn finish(
        &self,
        module: &Module<P>,
        state: State,
        timing: Timing,
        done: &Result<Returned, CallError>,
        returned: &mut Returned,
    ) -> Result<(), Failure> {
        module.standing.set(state);
        *returned = done.map_err(|error| self.note(module, error, timing))?;
        if let (Timing::Fast | Timing::Precise, Some(samples)) = (timing, module.recorder.get()) {
            samples.push(returned.cycles);
        }
        module.last_result.set(returned.outcome.result);
        Ok(())
    }

    /// Makes a call of a module that has this list of dependencies, by [`Platform::call_plain`] where it is plain.
    #[inline(always)]
    pub(crate) fn call_either_way(
        &self,
        call: &Call<'_, P::Image>,
        is_plain: bool,
        depends: &[u8],
        output: &mut [u8],
    ) -> Result<Returned, CallError> {
        if !P::HAS_USUAL_WAY || !is_plain {
            return self.call_bound_or_not(call, depends, output);
        }
        let mut otherwise = Err(CallError::NoMemory);
        match self.platform.call_plain(call, &mut otherwise) {
            Some(Plain { result, cycles }) => Ok(Returned { outcome: Outcome { result, output_length: 0 }, cycles }),
            None => otherwise,
        }
    }

    /// Makes any call of a module that has this list of dependencies.
    #[inline(never)]
    pub(crate) fn call_bound_or_not(
        &self,
        call: &Call<'_, P::Image>,
        depends: &[u8],
        output: &mut [u8],
    ) -> Result<Returned, CallError> {
        if depends.is_empty() { self.platform.call(call, output) } else { self.call_bound(call, depends, output) }
    }

    /// Calls a module that is borrowed `calls` times in a row, reading the clock once for each.
    pub(crate) fn call_chained(&self, module: &Module<P>, calls: u64) -> Result<Option<i32>, Failure> {
        let state = module.callable()?;
        let samples = self.samples(module)?;
        let call = run(module, &[], Timing::Untimed);
        let is_plain = !module.standing.is_special();
        module.standing.set(State::Running);
        let (mut done, mut stamp) = (Ok(None), self.platform.clock());
        for _ in 0..calls {
            match self.call_either_way(&call, is_plain, module.kept.depends(), &mut []) {
                Ok(returned) => {
                    let now = self.platform.clock();
                    samples.push(now.saturating_sub(stamp));
                    module.last_result.set(returned.outcome.result);
                    (done, stamp) = (Ok(Some(returned.outcome.result)), now);
                }
                Err(error) => {
                    done = Err(self.note(module, error, self.timing));
                    break;
                }
            }
            if module.standing.is_retired() {
                done = Err(Failure::NotLoaded);
                break;
            }
        }
        module.standing.set(state);
        done
    }

    /// The module at `id`, which stays there as long as it is borrowed.
    #[inline(always)]
    pub(crate) fn borrow(&self, id: ModuleId) -> Result<Ref<'_, Module<P>>, Failure> {
        let Some(place) = self.table.place(id.index) else { return Err(Failure::NotLoaded) };
        // Borrowed for writing only while nobody can be here: when the module is registered, restarted or taken out.
        let Ok(borrowed) = place.look() else { return Err(Failure::Refused) };
        match Ref::filter_map(borrowed, Option::as_deref) {
            Ok(module) if module.load.get() == Some(id.load) => Ok(module),
            _ => Err(Failure::NotLoaded),
        }
    }

    /// Does what is to be done behind a call, or several, when the module is not borrowed any more.
    #[inline(always)]
    pub(crate) fn settle(&self, id: ModuleId, retired: bool, faulted: bool) {
        match retired {
            #[cfg(feature = "reload")]
            true => self.leave_retired(id),
            _ if faulted => self.fail(id),
            _ => {}
        }
    }

    /// Where a module's readings go.
    #[inline(always)]
    fn samples<'module>(&self, module: &'module Module<P>) -> Result<&'module Samples, Failure> {
        module.recorder.samples(&self.spare, || self.platform.tables()).ok_or(Failure::ProfileFull)
    }

    /// Takes note of a call that did not return.
    #[cold]
    #[inline(never)]
    fn note(&self, module: &Module<P>, error: CallError, timing: Timing) -> Failure {
        if timing == Timing::Untimed {
            module.turns.take_back();
        }
        match error {
            CallError::NoMemory => Failure::NoMemory,
            CallError::Fault(fault) => {
                module.faults.note(fault, self.platform.diagnosis(), self.platform.tables());
                self.last_fault.set(Some(fault));
                Failure::Faulted
            }
        }
    }

    /// The error that a failure stands for.
    #[cold]
    #[inline(never)]
    pub(crate) fn explain(&self, id: ModuleId, failure: Failure) -> ExecuteError {
        match failure {
            Failure::NotLoaded => ExecuteError::NotLoaded,
            Failure::NoMemory => ExecuteError::NoMemory,
            Failure::ProfileFull => ExecuteError::ProfileFull,
            Failure::Faulted => self.last_fault.get().map_or(ExecuteError::NotLoaded, ExecuteError::Faulted),
            Failure::Refused => {
                let stopped = self.get(id).filter(|module| module.standing.state() == State::Stopped);
                let fault = stopped.and_then(|module| module.faults.last());
                fault.map_or(ExecuteError::Busy, ExecuteError::Stopped)
            }
        }
    }
}

/// Of a call that did not return yet.
const NOT_YET: Returned = Returned { outcome: Outcome { result: 0, output_length: 0 }, cycles: 0 };

/// The same once more, put together from its parts: it is read from where it lies, and what comes another way need not
/// be written there.
#[inline(always)]
fn again(returned: &Returned) -> Returned {
    let Returned { outcome: Outcome { result, output_length }, cycles } = *returned;
    Returned { outcome: Outcome { result, output_length }, cycles }
}

/// A module's work.
#[inline(always)]
fn run<'call, P: Platform>(module: &'call Module<P>, input: &'call [u8], timing: Timing) -> Call<'call, P::Image> {
    let (image, entry) = (&module.placed.image, module.placed.entry);
    Call { module: &module.name, image, entry, reason: Reason::Run, input, timing, thorough: false }
}
