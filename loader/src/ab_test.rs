//! Two modules on the same input: what they cost, and whether they agree.
//!
//! Neither module's profile takes note of it. Where a call takes no longer than
//! the clock can resolve, many are timed at once; what the same number of calls of a
//! module takes that does nothing is taken off.

mod sort;

use allocator_api2::vec::Vec;
use bareflow_abi::Reason;

use crate::call_cost::EmptyModule;
use crate::counters::Counters;
use crate::error::ExecuteError;
use crate::fault::Fault;
use crate::lifecycle::ModuleState;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::platform::{Call, CallError, CallOutcome, Platform};
use crate::policy::Domain;
use crate::profile::Timing;
use crate::state;
use sort::Sorting;

/// A measurement takes at least so many times as long as reading the clock.
const RESOLVED: u64 = 64;

/// Calls in one measurement at the most.
const MAX_BATCH: u32 = 4096;

/// Measurements of the module that does nothing.
const BASELINE: usize = 31;

/// A measurement's hundredths of a cycle.
const CENTICYCLES_PER_CYCLE: u64 = 100;

/// Two modules under comparison.
pub struct AbTest<P: Platform> {
    arms: [Arm<P>; 2],
    /// Calls in one measurement, of both alike; 0 before the first.
    batch: u32,
    measurements: u32,
    /// What was different, the first time anything was.
    difference: Option<Difference>,
}

/// One of the two.
struct Arm<P: Platform> {
    id: ModuleId,
    /// Hundredths of a cycle that a call of nothing takes in such a batch.
    baseline: u64,
    /// Hundredths of a cycle of one call, by measurement.
    measured: Vec<u64, P::Alloc>,
    /// How far they are put in order, once all were taken.
    sorting: Option<Sorting>,
}

/// What two modules gave for the same input, where it was not the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// They returned these.
    Results([i32; 2]),
    /// Their outputs are so long.
    Lengths([usize; 2]),
    /// Their outputs first differ at this byte, which is these.
    Bytes {
        /// Its number, counted from 0.
        at: usize,
        /// The bytes.
        found: [u8; 2],
    },
}

/// Why an A/B test ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbTestError {
    /// This arm, 0 or 1, faulted.
    Faulted(usize, Fault),
    /// This arm could not be called.
    Refused(usize, ExecuteError),
    /// Memory for the measurements ran out.
    NoMemory,
}

/// What one arm's calls took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distribution<'test> {
    /// Calls in one measurement.
    pub batch: u32,
    /// Hundredths of a cycle of one call, in rising order.
    pub centicycles: &'test [u64],
    /// The least difference between two calls that can be seen, in hundredths of a cycle.
    pub resolution_centicycles: u64,
}

impl Distribution<'_> {
    /// What `per_cent` of the measurements do not exceed, in cycles (nearest rank).
    #[must_use]
    pub fn percentile(&self, per_cent: usize) -> f64 {
        let rank = (self.centicycles.len() * per_cent).div_ceil(100).max(1);
        self.centicycles.get(rank - 1).map_or(0.0, |&centicycles| cycles(centicycles))
    }

    /// The mean, in cycles.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let sum: u128 = self.centicycles.iter().copied().map(u128::from).sum();
        sum as f64 / self.centicycles.len().max(1) as f64 / CENTICYCLES_PER_CYCLE as f64
    }
}

fn cycles(centicycles: u64) -> f64 {
    centicycles as f64 / CENTICYCLES_PER_CYCLE as f64
}

impl<P: Platform> AbTest<P> {
    /// An A/B test of two modules, with so many measurements of each.
    ///
    /// # Errors
    /// [`AbTestError::NoMemory`].
    pub fn new(manager: &ModuleManager<P>, ids: [ModuleId; 2], measurements: u32) -> Result<AbTest<P>, AbTestError> {
        let arm = |id| {
            let mut measured = Vec::new_in(manager.platform.allocator());
            measured.try_reserve_exact(measurements as usize).map_err(|_| AbTestError::NoMemory)?;
            Ok(Arm { id, baseline: 0, measured, sorting: None })
        };
        let [first, second] = ids;
        Ok(AbTest { arms: [arm(first)?, arm(second)?], batch: 0, measurements, difference: None })
    }

    /// Takes one measurement of each, and says whether that was the last one. `outputs` are as long as each other.
    ///
    /// # Errors
    /// Why there will be no more.
    pub fn step(
        &mut self,
        manager: &ModuleManager<P>,
        input: &[u8],
        outputs: [&mut [u8]; 2],
    ) -> Result<bool, AbTestError> {
        let [first, second] = outputs;
        if self.batch == 0 {
            self.choose_batch(manager, input, [&mut *first, &mut *second])?;
        }
        let given = [self.measure(manager, 0, input, &mut *first)?, self.measure(manager, 1, input, &mut *second)?];
        if self.difference.is_none() {
            self.difference = difference(given, [first, second]);
        }
        Ok(self.done() >= self.measurements)
    }

    /// Measurements of each so far.
    #[must_use]
    pub fn done(&self) -> u32 {
        self.arms.iter().map(|arm| arm.measured.len() as u32).min().unwrap_or(0)
    }

    /// What was different first, if anything was.
    #[must_use]
    pub const fn difference(&self) -> Option<Difference> {
        self.difference
    }

    /// Puts the measurements in order, which takes long where there are many: so many steps of it, each of which moves
    /// about twenty of a million. Says whether that is done; then [`distributions`](Self::distributions) takes no time.
    pub fn sort_some(&mut self, steps: usize) -> bool {
        let mut all = true;
        for arm in &mut self.arms {
            let sorting = arm.sorting.get_or_insert(Sorting::of(arm.measured.len()));
            all &= sorting.advance(&mut arm.measured, steps);
        }
        all
    }

    /// What each arm's calls took. Puts in order what [`sort_some`](Self::sort_some) left.
    pub fn distributions(&mut self, manager: &ModuleManager<P>) -> [Distribution<'_>; 2] {
        while !self.sort_some(usize::MAX) {}
        let step = manager.call_overhead_cycles().max(1) * CENTICYCLES_PER_CYCLE;
        let batch = self.batch;
        self.arms.each_ref().map(|arm| Distribution {
            batch,
            centicycles: &arm.measured,
            resolution_centicycles: step / u64::from(batch.max(1)),
        })
    }

    /// Takes one measurement of an arm.
    fn measure(
        &mut self,
        manager: &ModuleManager<P>,
        index: usize,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<CallOutcome, AbTestError> {
        let batch = self.batch;
        let Some(arm) = self.arms.get_mut(index) else { return Err(AbTestError::NoMemory) };
        let (outcome, cycles) = manager.batch(arm.id, batch, input, output).map_err(|error| at(index, error))?;
        let centicycles = (cycles * CENTICYCLES_PER_CYCLE / u64::from(batch)).saturating_sub(arm.baseline);
        // There is room for as many as were asked for.
        if arm.measured.len() < arm.measured.capacity() {
            arm.measured.push(centicycles);
            arm.sorting = None;
        }
        Ok(outcome)
    }

    /// Finds out how many calls make a measurement, and what nothing costs. Both arms
    /// are called as often as each other: they may count their calls.
    fn choose_batch(
        &mut self,
        manager: &ModuleManager<P>,
        input: &[u8],
        mut outputs: [&mut [u8]; 2],
    ) -> Result<(), AbTestError> {
        let enough = manager.call_overhead_cycles().max(1) * RESOLVED;
        let mut batch = 1;
        loop {
            let mut least = u64::MAX;
            for (index, (arm, output)) in self.arms.iter().zip(&mut outputs).enumerate() {
                // The first round warms up.
                for round in 0..2 {
                    let (_, cycles) = manager.batch(arm.id, batch, input, output).map_err(|error| at(index, error))?;
                    least = if round == 0 { least } else { least.min(cycles) };
                }
            }
            if least >= enough || batch >= MAX_BATCH {
                break;
            }
            batch *= 2;
        }
        for arm in &mut self.arms {
            arm.baseline = manager.empty_batch(arm.id, batch).ok_or(AbTestError::NoMemory)?;
        }
        self.batch = batch;
        Ok(())
    }
}

fn at(index: usize, error: ExecuteError) -> AbTestError {
    match error {
        ExecuteError::Faulted(fault) => AbTestError::Faulted(index, fault),
        error => AbTestError::Refused(index, error),
    }
}

fn difference(given: [CallOutcome; 2], outputs: [&mut [u8]; 2]) -> Option<Difference> {
    let [first, second] = given;
    if first.result != second.result {
        return Some(Difference::Results([first.result, second.result]));
    }
    if first.output_length != second.output_length {
        return Some(Difference::Lengths([first.output_length, second.output_length]));
    }
    let [mine, yours] = outputs;
    let pairs = mine.iter().zip(yours.iter()).take(first.output_length).enumerate();
    let mut different = pairs.filter(|(_, (mine, yours))| mine != yours);
    different.next().map(|(at, (mine, yours))| Difference::Bytes { at, found: [*mine, *yours] })
}

impl<P: Platform> ModuleManager<P> {
    /// Calls a module so many times, at least once, and says what the last call gave, and how many cycles they all
    /// took.
    pub(crate) fn batch(
        &self,
        id: ModuleId,
        calls: u32,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<(CallOutcome, u64), ExecuteError> {
        let Some(module) = self.get(id) else { return Err(ExecuteError::NotLoaded) };
        match (module.lifecycle.state(), module.faults.last()) {
            (ModuleState::Live, _) => {}
            (ModuleState::Stopped, Some(fault)) => return Err(ExecuteError::Stopped(fault)),
            _ => return Err(ExecuteError::Busy),
        }
        let call = state::call(&module, &module.placed, Reason::Run, input, self.timing);
        module.lifecycle.set(ModuleState::Running);
        let done = self.timed(&call, module.placement.domain, module.metadata.depends(), calls, output);
        module.lifecycle.set(ModuleState::Live);
        let retired = module.lifecycle.is_retired();
        if let Err(CallError::Fault(fault)) = done {
            module.faults.note(fault, self.platform.diagnosis(), self.platform.allocator());
        }
        drop(module);
        self.after_call(id, retired, matches!(done, Err(CallError::Fault(_))));
        done.map_err(|error| match error {
            CallError::NoMemory => ExecuteError::NoMemory,
            CallError::Fault(fault) => ExecuteError::Faulted(fault),
        })
    }

    /// Carries a call out so many times: the first one as it says, the others without looking at what takes long.
    fn timed(
        &self,
        call: &Call<'_, P::Image>,
        domain: Domain,
        depends: &[u8],
        calls: u32,
        output: &mut [u8],
    ) -> Result<(CallOutcome, u64), CallError> {
        let is_empty = call.input.is_empty() && output.is_empty() && depends.is_empty();
        let may_be_fast = is_empty && domain == Domain::Kernel;
        let (outcome, cycles) = self.timing.measure(&self.platform, || {
            let mut last = self.call_platform(call, may_be_fast, depends, output)?;
            let others = Call { timing: Timing::Untimed, check_abi: false, ..*call };
            for _ in 1..calls {
                last = self.call_platform(&others, may_be_fast, depends, output)?;
            }
            Ok::<_, CallError>(last.outcome)
        });
        Ok((outcome?, cycles.saturating_sub(self.call_overhead_cycles())))
    }

    /// What the processor counts during so many calls of a module that does nothing, if `like` runs in the kernel
    /// domain.
    pub(crate) fn count_empty(&self, like: ModuleId, calls: u32) -> Option<Counters> {
        let domain = self.options(like)?.domain;
        if domain != Domain::Kernel {
            return None;
        }
        let empty = EmptyModule::place(&self.platform, domain)?;
        let before = self.platform.counters();
        let done = self.timed(&empty.call(self.timing), domain, &[], calls, &mut []);
        let after = self.platform.counters();
        empty.release(&self.platform);
        done.ok()?;
        Some(after?.since(before?))
    }

    /// Hundredths of a cycle that one call takes, of so many, of a module that does nothing where `like` runs: the
    /// median.
    pub(crate) fn empty_batch(&self, like: ModuleId, calls: u32) -> Option<u64> {
        let domain = self.options(like)?.domain;
        let empty = EmptyModule::place(&self.platform, domain)?;
        let mut measured = [0; BASELINE];
        let all = measured.iter_mut().try_for_each(|measured| {
            let (_, cycles) = self.timed(&empty.call(self.timing), domain, &[], calls, &mut []).ok()?;
            *measured = cycles * CENTICYCLES_PER_CYCLE / u64::from(calls);
            Some(())
        });
        empty.release(&self.platform);
        measured.sort_unstable();
        all.map(|()| measured[BASELINE / 2])
    }
}
