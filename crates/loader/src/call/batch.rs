//! The time of one call at a finer resolution than the clock's, measured over many calls in a row.

use crate::call::callee::Callee;
use crate::error::ExecuteError;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::platform::{CallOutcome, Platform};
use crate::profile::counters::Counters;

/// The time of one call, measured over many in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchTiming {
    /// The number of calls in a row.
    pub calls: u32,
    /// The time of one call minus that of a call of an empty module, in hundredths of a cycle.
    ///
    /// The median of several rows; never below 0.
    pub centicycles: u64,
    /// The clock's resolution divided by the calls in a row, in hundredths of a cycle.
    ///
    /// 1 or 0, unless a row would be too long.
    pub resolution_centicycles: u64,
    /// The processor's events during one call minus those of an empty module's call, in hundredths of an event.
    ///
    /// Counted over one row. `None` if the processor counts nothing, and for calls in the user domain.
    pub counters: Option<Counters>,
    /// The outcome of the last call.
    pub outcome: CallOutcome,
}

/// The number of rows that are timed.
const ROWS: usize = 15;

/// The longest a row of more than one call may take, in cycles.
const LONGEST_ROW: u64 = 20_000_000;

/// The number of hundredths in a cycle.
const CENTICYCLES_PER_CYCLE: u64 = 100;

impl<P: Platform> ModuleManager<P> {
    /// Times one call of a module over many calls in a row, outside of the module's profile.
    ///
    /// # Errors
    /// The reason for which a call gave no result.
    pub fn batched(&self, id: ModuleId, input: &[u8], output: &mut [u8]) -> Result<BatchTiming, ExecuteError> {
        // The first row warms up; the second one shows how long a call takes.
        self.batch(Callee::Run(id), 1, input, output)?;
        let (_, one) = self.batch(Callee::Run(id), 1, input, output)?;
        let step = self.clock_step_cycles();
        let calls = (step * CENTICYCLES_PER_CYCLE).clamp(1, (LONGEST_ROW / one.max(1)).max(1));
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        let baseline = self.empty_batch(id, calls).ok_or(ExecuteError::NoMemory)?;
        let mut rows = [0; ROWS];
        let mut last = None;
        for row in &mut rows {
            let (outcome, cycles) = self.batch(Callee::Run(id), calls, input, output)?;
            *row = cycles * CENTICYCLES_PER_CYCLE / u64::from(calls);
            last = Some(outcome);
        }
        rows.sort_unstable();
        let centicycles = rows.get(ROWS / 2).map_or(0, |row| row.saturating_sub(baseline));
        let resolution_centicycles = step * CENTICYCLES_PER_CYCLE / u64::from(calls);
        let outcome = last.unwrap_or(CallOutcome { result: 0, output_length: 0 });
        let counters = self.count(id, calls, input, output);
        Ok(BatchTiming { calls, centicycles, resolution_centicycles, counters, outcome })
    }

    /// Counts the processor's events during a row of calls.
    fn count(&self, id: ModuleId, calls: u32, input: &[u8], output: &mut [u8]) -> Option<Counters> {
        let before = self.platform.counters()?;
        self.batch(Callee::Run(id), calls, input, output).ok()?;
        let counted = self.platform.counters()?.since(before);
        Some(counted.of_one(self.count_empty(id, calls)?, calls))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Timing;
    use crate::testing::{FakePlatform, blob, manager};

    #[test]
    fn takes_off_what_an_empty_module_takes() {
        let platform = FakePlatform::default();
        let manager = manager(&platform, Timing::Fast);
        let id = manager.load(&blob::small("batched")).unwrap();
        let batched = manager.batched(id, b"", &mut []).unwrap();
        // On this platform every call takes ten cycles, including those of the empty module.
        assert_eq!((batched.centicycles, batched.outcome.result), (0, 42));
        assert!(batched.resolution_centicycles <= 1);
        assert_eq!(manager.stats(id).unwrap().call_count, 0);
    }

    #[test]
    fn counts_what_the_processor_does() {
        for counts in [false, true] {
            let platform = FakePlatform { counts, ..FakePlatform::default() };
            let manager = manager(&platform, Timing::Fast);
            let id = manager.load(&blob::small("batched")).unwrap();
            let batched = manager.batched(id, b"", &mut []).unwrap();
            let expected = Counters { instructions: 6000, ..Counters::default() };
            assert_eq!(batched.counters, counts.then_some(expected));
        }
    }

    #[test]
    fn rejects_what_is_gone() {
        let platform = FakePlatform::default();
        let manager = manager(&platform, Timing::Fast);
        let id = manager.load(&blob::small("batched")).unwrap();
        manager.unload(id).unwrap();
        assert_eq!(manager.batched(id, b"", &mut []), Err(ExecuteError::NotLoaded));
    }
}
