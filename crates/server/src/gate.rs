//! Comparisons of two modules or functions.
//!
//! They run on a client's request, or as a gate that a module must pass before it replaces another one.

use alloc::vec::Vec;

use allocator_api2::boxed::Box;
use bareflow_loader::ab_test::{AbTestError, Difference, Distribution};
use bareflow_loader::{AbTest, Callee, LoadOptions, ModuleId, ModuleProfile, Platform};
use bareflow_protocol::Response;
use bareflow_protocol::comparison::{Arm, Comparison, Conditions, Gate, Verdict};
use bareflow_protocol::control::{Refusal, RefusalCode};
use bareflow_suite::console::Style;
use bareflow_suite::fallible::{ErrorText, NoMemory, copy};
use bareflow_suite::module_file::ModuleFile;
use bareflow_suite::{error_text, text};

use crate::time_slice::{Poll, SLICE_MS};
use crate::{Server, ServerEnvironment, room};

mod evaluate;

/// The number of sorting steps between two readings of the clock: some tens of microseconds.
const SORTED_AT_ONCE: usize = 256;

/// The maximum number of measurements of each module.
const MAX_MEASUREMENTS: u32 = 1_000_000;

/// A running comparison.
pub(crate) struct RunningComparison<P: Platform> {
    ab_test: AbTest<P>,
    arms: [Callee; 2],
    input: Vec<u8>,
    over: u32,
    /// Set once no more measurements are taken, with the error that ended them early and the index of its arm.
    ended: Option<Option<(usize, ErrorText)>>,
    /// The replacement that depends on the result, if the comparison is a gate.
    gate: Option<Candidate<P>>,
}

/// A module that is to replace another one.
struct Candidate<P: Platform> {
    conditions: Conditions,
    file: ModuleFile<'static, P>,
    /// The module that it is compared with, and that it may replace.
    old: ModuleId,
    /// The copy of the old module, and the candidate unless it was promoted: they are unloaded at the end.
    shadow: ModuleId,
    candidate: Option<ModuleId>,
}

impl<P: Platform> RunningComparison<P> {
    /// Returns whether copies of modules were loaded for it, which must be unloaded afterwards.
    pub const fn has_copies(&self) -> bool {
        self.gate.is_some()
    }

    /// Returns the number of input bytes that the client has sent.
    pub fn input_bytes(&self) -> usize {
        self.input.len()
    }
}

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// Starts a comparison of two modules or functions.
    pub(crate) fn compare(
        &self,
        arms: [Callee; 2],
        input: &[u8],
        over: u32,
    ) -> Result<Box<RunningComparison<P>>, ErrorText> {
        if !(1..=MAX_MEASUREMENTS).contains(&over) {
            return Err(error_text!("{over} measurements, expected 1 to {MAX_MEASUREMENTS}"));
        }
        let ab_test = AbTest::new(&self.manager, arms, over).map_err(|error| explain(error, ["", ""]))?;
        // The measurements use memory until the end of the comparison.
        room()?;
        let comparing = RunningComparison { ab_test, arms, input: copy(input)?, over, ended: None, gate: None };
        Ok(Box::try_new(comparing).map_err(|_| NoMemory)?)
    }

    /// Starts a gate that decides whether a blob may replace `old`. Both run as copies that no one else calls.
    pub(crate) fn open_gate(
        &self,
        old: ModuleId,
        file: ModuleFile<'static, P>,
        options: &LoadOptions,
        parameters: &str,
        gate: &Gate<'_>,
    ) -> Result<Box<RunningComparison<P>>, ErrorText> {
        let (old_blob, last_input) = {
            let store = self.store.borrow();
            let kept = store.get(old).ok_or("the old module's blob was not kept; push without a gate")?;
            (copy(kept.file.blob())?, copy(&kept.input)?)
        };
        room()?;
        let old_options = self.manager.options(old).unwrap_or(*options);
        let settings = options.with_parameters(&parameters);
        let candidate = file
            .load_candidate(self.unborrowed(), settings)
            .map_err(|error| self.explain_load(file.blob(), options, &error))?;
        let shadow = self.unborrowed().load_candidate(&old_blob, &old_options).map_err(|error| {
            let error = self.explain_load(&old_blob, &old_options, &error);
            self.discard_one(candidate);
            error_text!("no second copy of the old module: {error}")
        })?;
        match self.compare([shadow, candidate].map(Callee::Run), gate.input.unwrap_or(&last_input), gate.over) {
            Ok(mut comparing) => {
                let (conditions, candidate) = (gate.conditions, Some(candidate));
                comparing.gate = Some(Candidate { conditions, file, old, shadow, candidate });
                Ok(comparing)
            }
            other => {
                self.discard_one(candidate);
                self.discard_one(shadow);
                other
            }
        }
    }

    /// Takes some measurements, or sorts some of those taken.
    pub(crate) fn compare_some(&self, job: u64, comparing: &mut RunningComparison<P>) -> Poll {
        let until = self.environment.milliseconds() + SLICE_MS;
        let more = Poll::Pending(comparing.ab_test.done().into(), comparing.over.into());
        while comparing.ended.is_some() {
            if comparing.ab_test.sort_some(SORTED_AT_ONCE) {
                let error = comparing.ended.take().flatten();
                return Poll::Ready(self.conclude(comparing, error));
            }
            if self.environment.milliseconds() >= until {
                return more;
            }
        }
        loop {
            let step = self.with_outputs(job, |[first, second]| {
                comparing.ab_test.step(self.unborrowed(), &comparing.input, [first, second])
            });
            match step {
                Ok(true) => {
                    comparing.ended = Some(None);
                    return more;
                }
                Err(error) => {
                    let arm = usize::from(!matches!(error, AbTestError::Faulted(0, _) | AbTestError::Refused(0, _)));
                    let names = if comparing.gate.is_some() {
                        ["the old one", "the new one"]
                    } else {
                        ["the first", "the second"]
                    };
                    self.explain_ab_test(comparing, &error);
                    comparing.ended = Some(Some((arm, explain(error, names))));
                    return more;
                }
                Ok(false) if self.environment.milliseconds() >= until => {
                    return Poll::Pending(comparing.ab_test.done().into(), comparing.over.into());
                }
                Ok(false) => {}
            }
        }
    }

    /// Shows the diagnosis of a fault that ended an A/B test.
    fn explain_ab_test(&self, comparing: &RunningComparison<P>, error: &AbTestError) {
        if let AbTestError::Faulted(arm, fault) = error
            && let Some(callee) = comparing.arms.get(*arm)
        {
            let _ = self.explain(callee.module(), &bareflow_loader::ExecuteError::Faulted(*fault));
        }
    }

    /// Answers a finished comparison.
    fn conclude(&self, comparing: &mut RunningComparison<P>, error: Option<(usize, ErrorText)>) -> Response {
        self.concluded(comparing, error).unwrap_or_else(Response::Refused)
    }

    fn concluded(
        &self,
        comparing: &mut RunningComparison<P>,
        error: Option<(usize, ErrorText)>,
    ) -> Result<Response, Refusal> {
        let comparison = self.comparison(comparing)?;
        let mut comparison = comparison.ok_or("one of the two was unloaded meanwhile; try again")?;
        let Some(gate) = &mut comparing.gate else {
            return error.map_or(Ok(Response::Compared(comparison)), |(_, error)| Err(error.into()));
        };
        if let Some((arm, error)) = error {
            comparison.outputs_equal = false;
            comparison.difference = Some(text!("{error}")?);
            if let Some(arm) = comparison.sides.get_mut(arm) {
                arm.fault = Some(text!("{error}")?);
            }
        }
        let failed = comparison.sides.iter().any(|arm| arm.fault.is_some());
        let measured = comparing.ab_test.distributions(&self.manager);
        let conditions = evaluate::evaluate(gate.conditions.as_slice(), &comparison, measured)?;
        let passed = !failed && conditions.iter().all(|condition| condition.held);
        let verdict = Verdict { passed, conditions, comparison };
        let Some(id) = gate.candidate.filter(|_| passed) else { return Ok(Response::GateFailed(verdict)) };
        // The module that it was compared with may no longer be the one it would replace.
        let name = self.manager.load_of(id).map(|(name, _)| name);
        if name.and_then(|name| self.manager.find(name.as_str())) != Some(gate.old) {
            return Err("the module it was compared with was replaced or unloaded meanwhile; push it again".into());
        }
        let texts = self.load_texts(gate.file.blob())?;
        self.store.borrow_mut().reserve()?;
        let options = self.manager.options(id).unwrap_or(self.defaults.load);
        let fallback = self.fallback(name.as_ref().map_or("", |name| name.as_str()), &options)?;
        match self.unborrowed().promote(id) {
            Ok(reloaded) => {
                self.set_fallback(reloaded.id, fallback);
                gate.candidate = None;
                Ok(self.replaced(&reloaded, core::mem::take(&mut gate.file), texts, Some(verdict)))
            }
            Err(error) => {
                Err(Refusal::new(RefusalCode::LoadFailed, self.explain_load(gate.file.blob(), &options, &error)))
            }
        }
    }

    /// Returns the results for both; `None` if one of them is gone.
    fn comparison(&self, comparing: &mut RunningComparison<P>) -> Result<Option<Comparison>, NoMemory> {
        let [one, other] = comparing.arms;
        let stats = |callee: Callee| self.manager.stats(callee.module());
        let (Some(first), Some(second)) = (stats(one), stats(other)) else { return Ok(None) };
        let difference = comparing.ab_test.difference();
        let measured = comparing.ab_test.distributions(&self.manager);
        let classes = evaluate::classes(&measured);
        let arm = |callee, profile: &ModuleProfile, measured: &Distribution<'_>| -> Result<Arm, NoMemory> {
            Ok(Arm {
                name: self.callee_name(callee, &profile.name)?,
                version: text!("{}", profile.version)?,
                generation: profile.generation,
                batch: measured.batch,
                measurements: measured.centicycles.len() as u32,
                cycles: evaluate::figures(measured),
                histogram: evaluate::histogram(measured, &classes)?,
                fault: None,
            })
        };
        let sides = [arm(one, &first, &measured[0])?, arm(other, &second, &measured[1])?];
        let ratios = evaluate::ratios(&sides)?;
        let difference = difference.map(|difference| match difference {
            Difference::Results([first, second]) => text!("results {first} and {second}"),
            Difference::Lengths([first, second]) => text!("outputs of {first} and {second} bytes"),
            Difference::Bytes { at, found: [first, second] } => {
                text!("byte {at} of the output {first:#04x} and {second:#04x}")
            }
        });
        let difference = difference.transpose()?;
        Ok(Some(Comparison { sides, ratios, outputs_equal: difference.is_none(), difference }))
    }

    /// Unloads the copies that a gate made.
    pub(crate) fn discard_candidates(&self, comparing: &RunningComparison<P>) {
        if let Some(gate) = &comparing.gate {
            self.discard_one(gate.shadow);
            if let Some(candidate) = gate.candidate {
                self.discard_one(candidate);
            }
        }
    }

    /// Unloads a copy that no one calls.
    fn discard_one(&self, id: ModuleId) {
        if let Err(error) = self.unborrowed().unload(id) {
            self.environment.show(Style::Warning, format_args!("[WARN] a copy stays: {error}\n"));
        }
    }
}

fn explain(error: AbTestError, names: [&str; 2]) -> ErrorText {
    let name = |arm: usize| names.get(arm).copied().unwrap_or_default();
    match error {
        AbTestError::Faulted(arm, fault) => error_text!("{} faulted: {fault}", name(arm)),
        AbTestError::Refused(arm, error) => error_text!("{}: {error}", name(arm)),
        AbTestError::NoMemory => "no memory for so many measurements; ask for fewer".into(),
    }
}
