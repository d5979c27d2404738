//! Calls that do not begin on the fast path, and the end of those that leave it.

use core::cell::Cell;

use bareflow_abi::Reason;

use crate::manager::ModuleManager;
use crate::module::lifecycle::ModuleState;
use crate::module::metadata::Metadata;
use crate::module::{Failure, Module};
use crate::platform::{Call, CallFailure, CallOutcome, FastExit, FastReturn, Platform, TimedCall};
use crate::profile::Timing;
use crate::profile::sampler::Sampler;
use crate::profile::samples::SampleBuffer;

impl<P: Platform> ModuleManager<P> {
    /// Calls a borrowed module on any path. Writes the outcome to `returned`, unless the call failed.
    #[inline(never)]
    pub(super) fn call_any_path(
        &self,
        module: &Module<P>,
        input: &[u8],
        output: &mut [u8],
        returned: &mut TimedCall,
    ) -> Result<(), Failure> {
        let may_be_fast = P::HAS_FAST_PATH && input.is_empty() && output.is_empty();
        if !may_be_fast || !module.lifecycle.is_fast() || !module.sampler.times_all() {
            return self.call_off_fast_path(module, input, output, returned);
        }
        // This is the first call of the module, or the one in some hundred that is checked.
        let samples = self.samples(module)?;
        *returned = self.call_fast(module, self.timing, true, |cycles| samples.push(cycles))?;
        Ok(())
    }

    /// Calls a borrowed module that can't take the fast path.
    #[inline(never)]
    fn call_off_fast_path(
        &self,
        module: &Module<P>,
        input: &[u8],
        output: &mut [u8],
        returned: &mut TimedCall,
    ) -> Result<(), Failure> {
        let state = module.runnable()?;
        let timing = module.sampler.next(self.timing);
        // Checks the first call of the module, and one in some hundred.
        let check_abi = timing != Timing::Untimed && self.samples(module)?.is_flushed();
        let call = Call { check_abi, ..run(module, input, timing) };
        let may_be_fast = input.is_empty() && output.is_empty() && !module.lifecycle.is_slow_path_only();
        module.lifecycle.set(ModuleState::Running);
        let done = self.call_platform(&call, may_be_fast, &module.metadata, output);
        self.finish(module, state, timing, &done, returned)
    }

    /// Finishes a call that left the fast path.
    #[cold]
    #[inline(never)]
    pub(super) fn finish_fast(
        &self,
        module: &Module<P>,
        timing: Timing,
        check_abi: bool,
        exit: FastExit,
        returned: &mut TimedCall,
    ) -> Result<(), Failure> {
        let done = self.platform.finish_fast(&Call { check_abi, ..run(module, &[], timing) }, exit);
        self.finish(module, ModuleState::Live, timing, &done, returned)
    }

    /// Records the end of a call, and restores the lifecycle state that the module had before.
    #[inline(always)]
    fn finish(
        &self,
        module: &Module<P>,
        state: ModuleState,
        timing: Timing,
        done: &Result<TimedCall, CallFailure>,
        returned: &mut TimedCall,
    ) -> Result<(), Failure> {
        module.lifecycle.set(state);
        *returned =
            done.map_err(|error| self.note_failure(module, &module.sampler, &module.faults.count, error, timing))?;
        if let (Timing::Fast | Timing::Precise, Some(samples)) = (timing, module.profile_buffer.get()) {
            samples.push(returned.cycles);
        }
        module.last_result.set(returned.outcome.result);
        Ok(())
    }

    /// Makes a call of a module with this metadata, on the fast path if `may_be_fast`.
    #[inline(always)]
    pub(crate) fn call_platform(
        &self,
        call: &Call<'_, P::Image>,
        may_be_fast: bool,
        metadata: &Metadata<P::Alloc>,
        output: &mut [u8],
    ) -> Result<TimedCall, CallFailure> {
        if !P::HAS_FAST_PATH || !may_be_fast {
            return self.call_platform_slow(call, metadata, output);
        }
        match self.platform.call_fast(call) {
            Ok(FastReturn { result, cycles }) => {
                Ok(TimedCall { outcome: CallOutcome { result, output_length: 0 }, cycles })
            }
            Err(exit) => self.platform.finish_fast(call, exit),
        }
    }

    /// Makes a call of a module with this metadata on the slow path, which any call may take.
    #[inline(never)]
    pub(crate) fn call_platform_slow(
        &self,
        call: &Call<'_, P::Image>,
        metadata: &Metadata<P::Alloc>,
        output: &mut [u8],
    ) -> Result<TimedCall, CallFailure> {
        match self.callees_of(metadata) {
            None => self.platform.call(call, output),
            Some(callees) => self.platform.call_with_callees(call, output, &callees),
        }
    }

    /// Calls a borrowed module `calls` times in a row, reading the clock once per call.
    pub(crate) fn call_chained(&self, module: &Module<P>, calls: u64) -> Result<Option<i32>, Failure> {
        let state = module.runnable()?;
        let samples = self.samples(module)?;
        let call = run(module, &[], Timing::Untimed);
        let may_be_fast = !module.lifecycle.is_slow_path_only();
        module.lifecycle.set(ModuleState::Running);
        let (mut done, mut stamp) = (Ok(None), self.platform.clock());
        for _ in 0..calls {
            match self.call_platform(&call, may_be_fast, &module.metadata, &mut []) {
                Ok(returned) => {
                    let now = self.platform.clock();
                    samples.push(now.saturating_sub(stamp));
                    module.last_result.set(returned.outcome.result);
                    (done, stamp) = (Ok(Some(returned.outcome.result)), now);
                }
                Err(error) => {
                    done = Err(self.note_failure(module, &module.sampler, &module.faults.count, error, self.timing));
                    break;
                }
            }
            if let Err(ended) = module.lifecycle.may_go_on() {
                done = Err(ended);
                break;
            }
        }
        module.lifecycle.set(state);
        done
    }

    /// Returns the buffer for a module's readings.
    #[inline(always)]
    fn samples<'module>(&self, module: &'module Module<P>) -> Result<&'module SampleBuffer, Failure> {
        module.profile_buffer.samples(&self.spare_buffer, || self.platform.allocator()).ok_or(Failure::ProfileFull)
    }

    /// Records a call that did not return, of the module's `run` or of a function, whose sampler and count of faults these
    /// are.
    #[cold]
    #[inline(never)]
    pub(crate) fn note_failure(
        &self,
        module: &Module<P>,
        sampler: &Sampler,
        faults: &Cell<u32>,
        error: CallFailure,
        timing: Timing,
    ) -> Failure {
        if timing == Timing::Untimed {
            sampler.uncount();
        }
        match module.failure(error) {
            CallFailure::NoMemory => Failure::NoMemory,
            CallFailure::Fault(fault) => {
                module.faults.note(faults, fault, self.platform.diagnosis(), self.platform.allocator());
                self.last_fault.set(Some(fault));
                Failure::Faulted
            }
        }
    }
}

/// Returns the call that runs a module's work.
#[inline(always)]
pub(super) fn run<'call, P: Platform>(
    module: &'call Module<P>,
    input: &'call [u8],
    timing: Timing,
) -> Call<'call, P::Image> {
    let (image, entry) = (&module.placed.image, module.placed.entry);
    Call { module: &module.name, image, entry, reason: Reason::Run as u32, input, timing, check_abi: false, caller: 0 }
}
