//! An A/B test: the cost of two modules or functions on the same input, and whether their results agree.
//!
//! The calls are not recorded in the modules' profiles. If a call is too short for the clock's resolution, several
//! calls are timed together. The time of as many calls of an empty module is subtracted.

mod sort;

use allocator_api2::vec::Vec;
use bareflow_abi::Reason;

use crate::call::call_cost::EmptyModule;
use crate::call::callee::Callee;
use crate::error::ExecuteError;
use crate::fault::Fault;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::module::lifecycle::ModuleState;
use crate::module::metadata::Metadata;
use crate::platform::{Call, CallFailure, CallOutcome, Platform};
use crate::policy::Domain;
use crate::profile::Timing;
use crate::profile::counters::Counters;
use sort::Sorting;

/// The least duration of a measurement, as a multiple of the time to read the clock.
const RESOLVED: u64 = 64;

/// The maximum number of calls in one measurement.
const MAX_BATCH: u32 = 4096;

/// The number of measurements of the empty module.
const BASELINE: usize = 31;

/// The factor from cycles to hundredths of a cycle, the unit of a measurement.
const CENTICYCLES_PER_CYCLE: u64 = 100;

/// Two modules or functions under comparison.
pub struct AbTest<P: Platform> {
    arms: [Arm<P>; 2],
    /// The number of calls in one measurement, the same for both arms; 0 before the first step.
    batch: u32,
    measurements: u32,
    /// The first difference that was seen.
    difference: Option<Difference>,
}

/// One of the two.
struct Arm<P: Platform> {
    callee: Callee,
    /// The time of one call of an empty module in a batch of this size, in hundredths of a cycle.
    baseline: u64,
    /// The time of one call in each measurement, in hundredths of a cycle.
    measured: Vec<u64, P::Alloc>,
    /// The progress of the sort, which begins once all measurements are taken.
    sorting: Option<Sorting>,
}

/// The first difference between what the two gave for the same input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Different results.
    Results([i32; 2]),
    /// Outputs of different lengths.
    Lengths([usize; 2]),
    /// Outputs that differ in their contents.
    Bytes {
        /// The offset of the first byte that differs.
        at: usize,
        /// The two bytes.
        found: [u8; 2],
    },
}

/// The reasons for which an A/B test ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbTestError {
    /// The arm with this index, 0 or 1, faulted.
    Faulted(usize, Fault),
    /// The arm with this index could not be called.
    Refused(usize, ExecuteError),
    /// Memory for the measurements ran out.
    NoMemory,
}

/// The sorted measurements of one arm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distribution<'test> {
    /// The number of calls in one measurement.
    pub batch: u32,
    /// The time of one call in each measurement, in hundredths of a cycle, in ascending order.
    pub centicycles: &'test [u64],
    /// The smallest visible difference between two calls, in hundredths of a cycle.
    pub resolution_centicycles: u64,
}

impl Distribution<'_> {
    /// Returns the time in cycles that `per_cent` of the measurements do not exceed (nearest rank).
    #[must_use]
    pub fn percentile(&self, per_cent: usize) -> f64 {
        let rank = (self.centicycles.len() * per_cent).div_ceil(100).max(1);
        self.centicycles.get(rank - 1).map_or(0.0, |&centicycles| cycles(centicycles))
    }

    /// Returns the mean, in cycles.
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
    /// Creates an A/B test of two modules or functions with the given number of measurements of each.
    ///
    /// # Errors
    /// [`AbTestError::NoMemory`].
    pub fn new(manager: &ModuleManager<P>, arms: [Callee; 2], measurements: u32) -> Result<AbTest<P>, AbTestError> {
        let arm = |callee| {
            let mut measured = Vec::new_in(manager.platform.allocator());
            measured.try_reserve_exact(measurements as usize).map_err(|_| AbTestError::NoMemory)?;
            Ok(Arm { callee, baseline: 0, measured, sorting: None })
        };
        let [first, second] = arms;
        Ok(AbTest { arms: [arm(first)?, arm(second)?], batch: 0, measurements, difference: None })
    }

    /// Takes one measurement of each. Returns whether that was the last one.
    ///
    /// Both outputs must have the same length.
    ///
    /// # Errors
    /// The reason for which the test can't go on.
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

    /// Returns the number of measurements of each so far.
    #[must_use]
    pub fn done(&self) -> u32 {
        self.arms.iter().map(|arm| arm.measured.len() as u32).min().unwrap_or(0)
    }

    /// Returns the first difference that was seen, if any.
    #[must_use]
    pub const fn difference(&self) -> Option<Difference> {
        self.difference
    }

    /// Carries out up to `steps` steps of sorting the measurements. Returns whether they are sorted.
    ///
    /// One step moves about twenty of a million items. Sorting many measurements takes long, so a caller that serves
    /// others meanwhile does it in slices. [`distributions`](Self::distributions) takes no time afterwards.
    pub fn sort_some(&mut self, steps: usize) -> bool {
        let mut all = true;
        for arm in &mut self.arms {
            let sorting = arm.sorting.get_or_insert(Sorting::of(arm.measured.len()));
            all &= sorting.advance(&mut arm.measured, steps);
        }
        all
    }

    /// Returns the measurements of each arm, sorted. Finishes the sort if [`sort_some`](Self::sort_some) has not.
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
        let (outcome, cycles) = manager.batch(arm.callee, batch, input, output).map_err(|error| at(index, error))?;
        let centicycles = (cycles * CENTICYCLES_PER_CYCLE / u64::from(batch)).saturating_sub(arm.baseline);
        // The capacity is the number of measurements that were asked for.
        if arm.measured.len() < arm.measured.capacity() {
            arm.measured.push(centicycles);
            arm.sorting = None;
        }
        Ok(outcome)
    }

    /// Determines the number of calls in a measurement, and the baseline of each arm.
    ///
    /// Both arms are called equally often, since a module may count its calls.
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
                    let (_, cycles) =
                        manager.batch(arm.callee, batch, input, output).map_err(|error| at(index, error))?;
                    least = if round == 0 { least } else { least.min(cycles) };
                }
            }
            if least >= enough || batch >= MAX_BATCH {
                break;
            }
            batch *= 2;
        }
        for arm in &mut self.arms {
            arm.baseline = manager.empty_batch(arm.callee.module(), batch).ok_or(AbTestError::NoMemory)?;
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
    /// Calls a module or function `calls` times, at least once. Returns the last call's outcome and the cycles of all
    /// calls.
    pub(crate) fn batch(
        &self,
        callee: Callee,
        calls: u32,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<(CallOutcome, u64), ExecuteError> {
        let id = callee.module();
        let Some(module) = self.get(id) else { return Err(ExecuteError::NotLoaded) };
        match (module.lifecycle.state(), module.faults.last()) {
            _ if module.lifecycle.is_retired() => return Err(ExecuteError::NotLoaded),
            (ModuleState::Live, _) if !callee.is_run_of(&module) => return Err(ExecuteError::NoRun),
            (ModuleState::Live, _) => {}
            (ModuleState::Stopped, Some(fault)) => return Err(ExecuteError::Stopped(fault)),
            _ => return Err(ExecuteError::Busy),
        }
        let call = Call { reason: callee.reason(), ..module.call(&module.placed, Reason::Run, input, self.timing) };
        module.lifecycle.set(ModuleState::Running);
        let done = self.timed(&call, module.placement.domain, &module.metadata, calls, output);
        let done = done.map_err(|failure| module.failure(failure));
        module.lifecycle.set(ModuleState::Live);
        let needs_care = module.lifecycle.needs_care();
        if let Err(CallFailure::Fault(fault)) = done {
            module.faults.note(&module.faults.count, fault, self.platform.diagnosis(), self.platform.allocator());
        }
        drop(module);
        let faulted = matches!(done, Err(CallFailure::Fault(_)));
        if needs_care {
            self.end_interrupted(id, None);
            self.end_retired(id, faulted);
        } else {
            self.after_call(id, faulted);
        }
        done.map_err(|error| match error {
            CallFailure::NoMemory => ExecuteError::NoMemory,
            CallFailure::Fault(fault) => ExecuteError::Faulted(fault),
        })
    }

    /// Makes `calls` calls: the first one as `call` says, the others without the expensive checks.
    fn timed(
        &self,
        call: &Call<'_, P::Image>,
        domain: Domain,
        metadata: &Metadata<P::Alloc>,
        calls: u32,
        output: &mut [u8],
    ) -> Result<(CallOutcome, u64), CallFailure> {
        let is_empty = call.input.is_empty() && output.is_empty() && !metadata.calls_others();
        let may_be_fast = is_empty && domain == Domain::Kernel;
        let (outcome, cycles) = self.timing.measure(&self.platform, || {
            let mut last = self.call_platform(call, may_be_fast, metadata, output)?;
            let others = Call { timing: Timing::Untimed, check_abi: false, ..*call };
            for _ in 1..calls {
                last = self.call_platform(&others, may_be_fast, metadata, output)?;
            }
            Ok::<_, CallFailure>(last.outcome)
        });
        Ok((outcome?, cycles.saturating_sub(self.call_overhead_cycles())))
    }

    /// Counts the processor's events during `calls` calls of an empty module.
    ///
    /// `None` unless `like` runs in the kernel domain.
    pub(crate) fn count_empty(&self, like: ModuleId, calls: u32) -> Option<Counters> {
        let domain = self.get(like)?.placement.domain;
        if domain != Domain::Kernel {
            return None;
        }
        let empty = EmptyModule::place(&self.platform, domain)?;
        let before = self.platform.counters();
        let done = self.timed(&empty.call(self.timing), domain, &Metadata::none(), calls, &mut []);
        let after = self.platform.counters();
        empty.release(&self.platform);
        done.ok()?;
        Some(after?.since(before?))
    }

    /// Returns the time of one call in a batch of `calls` calls of an empty module in the domain of `like`.
    ///
    /// In hundredths of a cycle; the median of several batches.
    pub(crate) fn empty_batch(&self, like: ModuleId, calls: u32) -> Option<u64> {
        let domain = self.get(like)?.placement.domain;
        let empty = EmptyModule::place(&self.platform, domain)?;
        let mut measured = [0; BASELINE];
        let all = measured.iter_mut().try_for_each(|measured| {
            let (_, cycles) = self.timed(&empty.call(self.timing), domain, &Metadata::none(), calls, &mut []).ok()?;
            *measured = cycles * CENTICYCLES_PER_CYCLE / u64::from(calls);
            Some(())
        });
        empty.release(&self.platform);
        measured.sort_unstable();
        all.map(|()| measured[BASELINE / 2])
    }
}
