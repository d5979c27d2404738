//! What one call takes where the clock can't tell: so many calls in a row that a hundredth of a cycle shows.

use crate::counters::Counters;
use crate::error::ExecuteError;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::platform::{CallOutcome, Platform};

/// What one of many calls in a row takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchTiming {
    /// Calls in a row.
    pub calls: u32,
    /// Hundredths of a cycle that one of them takes, less what a call of a module takes that does nothing: the median
    /// of some rows. Never below 0.
    pub centicycles: u64,
    /// Hundredths of a cycle that the clock's step makes of one call: 1 or 0 where a row may be long enough.
    pub resolution_centicycles: u64,
    /// Hundredths of what the processor counts during one call, less the same: of one row. `None` where it counts nothing,
    /// and for calls in the user domain.
    pub counters: Option<Counters>,
    /// What the last call gave.
    pub outcome: CallOutcome,
}

/// Rows that are timed.
const ROWS: usize = 15;

/// Cycles a row may take, if it has more than one call.
const LONGEST_ROW: u64 = 20_000_000;

/// Hundredths in a cycle.
const CENTICYCLES_PER_CYCLE: u64 = 100;

impl<P: Platform> ModuleManager<P> {
    /// Calls a module many times in a row, outside of its profile, and says what one call takes.
    ///
    /// # Errors
    /// The reason for which a call gave no result.
    pub fn batched(&self, id: ModuleId, input: &[u8], output: &mut [u8]) -> Result<BatchTiming, ExecuteError> {
        // The first row warms up; the second one shows how long a call takes.
        self.batch(id, 1, input, output)?;
        let (_, one) = self.batch(id, 1, input, output)?;
        let step = self.clock_step_cycles();
        let calls = (step * CENTICYCLES_PER_CYCLE).clamp(1, (LONGEST_ROW / one.max(1)).max(1));
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        let baseline = self.empty_batch(id, calls).ok_or(ExecuteError::NoMemory)?;
        let mut rows = [0; ROWS];
        let mut last = None;
        for row in &mut rows {
            let (outcome, cycles) = self.batch(id, calls, input, output)?;
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

    /// What the processor counts during a row of calls.
    fn count(&self, id: ModuleId, calls: u32, input: &[u8], output: &mut [u8]) -> Option<Counters> {
        let before = self.platform.counters()?;
        self.batch(id, calls, input, output).ok()?;
        let counted = self.platform.counters()?.since(before);
        Some(counted.of_one(self.count_empty(id, calls)?, calls))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Timing;
    use crate::testing::{FakePlatform, blob};

    #[test]
    fn takes_off_what_an_empty_module_takes() {
        let platform = FakePlatform::default();
        let manager = ModuleManager::new(&platform, Timing::Fast);
        let id = manager.load(&blob::small("batched")).unwrap();
        let batched = manager.batched(id, b"", &mut []).unwrap();
        // Every call takes ten cycles there, that of an empty module, too.
        assert_eq!((batched.centicycles, batched.outcome.result), (0, 42));
        assert!(batched.resolution_centicycles <= 1);
        assert_eq!(manager.stats(id).unwrap().call_count, 0);
    }

    #[test]
    fn counts_what_the_processor_does() {
        for counts in [false, true] {
            let platform = FakePlatform { counts, ..FakePlatform::default() };
            let manager = ModuleManager::new(&platform, Timing::Fast);
            let id = manager.load(&blob::small("batched")).unwrap();
            let batched = manager.batched(id, b"", &mut []).unwrap();
            let expected = Counters { instructions: 6000, ..Counters::default() };
            assert_eq!(batched.counters, counts.then_some(expected));
        }
    }

    #[test]
    fn rejects_what_is_gone() {
        let platform = FakePlatform::default();
        let manager = ModuleManager::new(&platform, Timing::Fast);
        let id = manager.load(&blob::small("batched")).unwrap();
        manager.unload(id).unwrap();
        assert_eq!(manager.batched(id, b"", &mut []), Err(ExecuteError::NotLoaded));
    }
}
