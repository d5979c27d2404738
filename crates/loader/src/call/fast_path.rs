//! The fast path of a call: of a live module in the kernel domain that calls no others, without input and output.
//!
//! Two shapes buy cycles here, and nowhere else (an AMD EPYC, `make bench`):
//!
//! - One byte says that a module is live and eligible, one word whether the call is timed. With the results in registers,
//!   an unsampled call takes 51.5 ticks, where a pair of clock readings alone takes 49.2.
//! - The slow path writes its result through a reference, and the result is copied field by field. Returned by value, it
//!   would have an address, and the fast path would write its result there as well: a sampled call would take 14.5 ticks
//!   instead of 13.6.

use super::slow_path::run;
use crate::manager::ModuleManager;
use crate::module::lifecycle::ModuleState;
use crate::module::{Failure, Module};
use crate::platform::{Call, CallOutcome, FastReturn, Platform, TimedCall};
use crate::profile::Timing;
use crate::profile::sampler::Decision;

impl<P: Platform> ModuleManager<P> {
    /// Calls a borrowed module. The fast path is short, and writes no result to memory.
    #[inline(always)]
    pub(crate) fn call_profiled(
        &self,
        module: &Module<P>,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<TimedCall, Failure> {
        if P::HAS_FAST_PATH && input.is_empty() && output.is_empty() && module.lifecycle.is_fast() {
            match (module.sampler.decide(), module.profile_buffer.get()) {
                (Decision::Time, Some(samples)) if !samples.is_flushed() => {
                    return self.call_fast(module, self.timing, false, |cycles| samples.push(cycles));
                }
                (Decision::Count, _) => return self.call_fast(module, Timing::Untimed, false, |_| ()),
                _ => {}
            }
        }
        let mut returned = NOT_RETURNED;
        self.call_any_path(module, input, output, &mut returned)?;
        Ok(copied(&returned))
    }

    /// Calls a live module on the fast path, and passes the cycles to `take`.
    #[inline(always)]
    pub(super) fn call_fast(
        &self,
        module: &Module<P>,
        timing: Timing,
        check_abi: bool,
        take: impl FnOnce(u64),
    ) -> Result<TimedCall, Failure> {
        module.lifecycle.begin_fast();
        let call = Call { check_abi, ..run(module, &[], timing) };
        match self.platform.call_fast(&call) {
            Ok(FastReturn { result, cycles }) => {
                module.lifecycle.set(ModuleState::Live);
                take(cycles);
                module.last_result.set(result);
                Ok(TimedCall { outcome: CallOutcome { result, output_length: 0 }, cycles })
            }
            Err(exit) => {
                let mut returned = NOT_RETURNED;
                self.finish_fast(module, timing, check_abi, exit, &mut returned)?;
                Ok(copied(&returned))
            }
        }
    }
}

/// A placeholder for the outcome of a call that has not returned.
const NOT_RETURNED: TimedCall = TimedCall { outcome: CallOutcome { result: 0, output_length: 0 }, cycles: 0 };

/// Copies the result field by field, which lets the compiler keep the fields in registers on the fast path.
#[inline(always)]
fn copied(returned: &TimedCall) -> TimedCall {
    let TimedCall { outcome: CallOutcome { result, output_length }, cycles } = *returned;
    TimedCall { outcome: CallOutcome { result, output_length }, cycles }
}
