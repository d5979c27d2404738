//! Two modules side by side: because a client wants to see them so, or because
//! one has to prove itself before it takes the other one's place.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bareflow_loader::trial::{Difference, TrialError};
use bareflow_loader::{LoadOptions, ModuleId, Platform, Trial};
use bareflow_protocol::Answer;
use bareflow_protocol::trial::{Comparison, Condition, Gate, Side, Verdict};
use bareflow_suite::order;

use crate::jobs::{SLICE, Slice, Work};
use crate::library::load_of;
use crate::{NO_ROOM, Server, Surroundings, has_room};

mod judge;

/// Most measurements of each side.
const MAX_MEASUREMENTS: u32 = 1_000_000;

/// A comparison under way.
pub(crate) struct Comparing<P: Platform> {
    trial: Trial<P>,
    ids: [ModuleId; 2],
    input: Vec<u8>,
    over: u32,
    /// What depends on it, if it is a gate.
    gate: Option<Candidate>,
}

/// A module that is to take another one's place.
struct Candidate {
    conditions: Vec<Condition>,
    blob: Vec<u8>,
    /// What is left to drop when it is over: the copy of the old one, and the candidate unless it was promoted.
    shadow: ModuleId,
    candidate: Option<ModuleId>,
}

impl<P: Platform, S: Surroundings> Server<'_, P, S> {
    /// Begins to compare two modules.
    pub(crate) fn compare(&self, ids: [ModuleId; 2], input: Vec<u8>, over: u32) -> Result<Work<P>, String> {
        if !(1..=MAX_MEASUREMENTS).contains(&over) {
            return Err(format!("{over} measurements, expected 1 to {MAX_MEASUREMENTS}"));
        }
        let trial = Trial::new(&self.manager, ids, over).map_err(|error| explain(error, ["", ""]))?;
        Ok(Work::Compare(Box::new(Comparing { trial, ids, input, over, gate: None })))
    }

    /// Begins to find out whether a blob may take the place of `old`. Both run as copies that nobody else calls.
    pub(crate) fn open_gate(
        &self,
        old: ModuleId,
        blob: Vec<u8>,
        options: &LoadOptions,
        gate: &Gate,
    ) -> Result<Work<P>, String> {
        let load =
            self.manager.stats(old).map(|profile| load_of(&profile)).ok_or("the old module is gone; try again")?;
        let (old_blob, last_input) = {
            let library = self.library.borrow();
            let kept = library.get(&load).ok_or("the old module's blob was not kept; push without a gate")?;
            let mut blob = Vec::new();
            if blob.try_reserve_exact(kept.blob.len()).is_err() || !has_room() {
                return Err(NO_ROOM.to_string());
            }
            blob.extend_from_slice(&kept.blob);
            (blob, kept.input.clone())
        };
        let old_options = self.manager.options(old).unwrap_or(*options);
        let candidate = self
            .manager
            .load_candidate(&blob, options)
            .map_err(|error| order::refusal(&self.manager, &blob, &error))?;
        let shadow = self.manager.load_candidate(&old_blob, &old_options).map_err(|error| {
            self.drop_one(candidate);
            format!("no second copy of the old module: {error}")
        })?;
        let input = gate.input.clone().unwrap_or(last_input);
        match self.compare([shadow, candidate], input, gate.over) {
            Ok(Work::Compare(mut comparing)) => {
                let (conditions, candidate) = (gate.conditions.clone(), Some(candidate));
                comparing.gate = Some(Candidate { conditions, blob, shadow, candidate });
                Ok(Work::Compare(comparing))
            }
            other => {
                self.drop_one(candidate);
                self.drop_one(shadow);
                other
            }
        }
    }

    /// Takes some measurements.
    pub(crate) fn compare_some(&self, job: u64, comparing: &mut Comparing<P>) -> Slice {
        let until = self.around.milliseconds() + SLICE;
        let mut outputs = self.outputs.borrow_mut();
        loop {
            let [first, second] = outputs.of(job);
            match comparing.trial.step(&self.manager, &comparing.input, [first, second]) {
                Ok(true) => return Slice::Done(self.conclude(comparing, None)),
                Err(error) => {
                    let side = usize::from(!matches!(error, TrialError::Faulted(0, _) | TrialError::Refused(0, _)));
                    let names = if comparing.gate.is_some() {
                        ["the old one", "the new one"]
                    } else {
                        ["the first", "the second"]
                    };
                    self.explain_trial(comparing, &error);
                    return Slice::Done(self.conclude(comparing, Some((side, explain(error, names)))));
                }
                Ok(false) if self.around.milliseconds() >= until => {
                    return Slice::More(comparing.trial.done().into(), comparing.over.into());
                }
                Ok(false) => {}
            }
        }
    }

    /// Shows what is known of a fault that ended a trial.
    fn explain_trial(&self, comparing: &Comparing<P>, error: &TrialError) {
        if let TrialError::Faulted(side, fault) = error
            && let Some(id) = comparing.ids.get(*side)
        {
            self.explain(*id, &bareflow_loader::ExecuteError::Faulted(*fault));
        }
    }

    /// Answers a comparison that is over.
    fn conclude(&self, comparing: &mut Comparing<P>, error: Option<(usize, String)>) -> Answer {
        let Some(mut comparison) = self.comparison(comparing) else {
            return Answer::Refused { error: "one of the two was unloaded meanwhile; try again".to_string() };
        };
        let Some(gate) = &mut comparing.gate else {
            return match error {
                Some((_, error)) => Answer::Refused { error },
                None => Answer::Compared(Box::new(comparison)),
            };
        };
        if let Some((side, error)) = error {
            comparison.outputs_equal = false;
            comparison.difference = Some(error.clone());
            if let Some(side) = comparison.sides.get_mut(side) {
                side.fault = Some(error);
            }
        }
        let failed = comparison.sides.iter().any(|side| side.fault.is_some());
        let conditions = judge::judge(&gate.conditions, &comparison, comparing.trial.distributions(&self.manager));
        let passed = !failed && conditions.iter().all(|condition| condition.held);
        let verdict = Verdict { passed, conditions, comparison };
        let Some(id) = gate.candidate.filter(|_| passed) else { return Answer::GateFailed(Box::new(verdict)) };
        match self.manager.promote(id) {
            Ok(reloaded) => {
                gate.candidate = None;
                self.replaced(reloaded, Some(core::mem::take(&mut gate.blob)), Some(verdict))
            }
            Err(error) => Answer::Refused { error: order::refusal(&self.manager, &gate.blob, &error) },
        }
    }

    /// What was found out about the two.
    fn comparison(&self, comparing: &mut Comparing<P>) -> Option<Comparison> {
        let profiles = [self.manager.stats(comparing.ids[0])?, self.manager.stats(comparing.ids[1])?];
        let difference = comparing.trial.difference();
        let measured = comparing.trial.distributions(&self.manager);
        let classes = judge::classes(&measured);
        let side = |index: usize| Side {
            name: profiles[index].name.to_string(),
            version: profiles[index].version.to_string(),
            generation: profiles[index].generation,
            batch: measured[index].batch,
            measurements: measured[index].hundredths.len() as u32,
            cycles: judge::figures(&measured[index]),
            histogram: judge::histogram(&measured[index], &classes),
            fault: None,
        };
        let sides = [side(0), side(1)];
        let ratios = judge::ratios(&sides);
        let difference = difference.map(|difference| match difference {
            Difference::Results([first, second]) => format!("results {first} and {second}"),
            Difference::Lengths([first, second]) => format!("outputs of {first} and {second} bytes"),
            Difference::Bytes { at, found: [first, second] } => {
                format!("byte {at} of the output {first:#04x} and {second:#04x}")
            }
        });
        Some(Comparison { sides, ratios, outputs_equal: difference.is_none(), difference })
    }

    /// Takes back the copies that a gate made.
    pub(crate) fn drop_candidates(&self, comparing: &Comparing<P>) {
        if let Some(gate) = &comparing.gate {
            self.drop_one(gate.shadow);
            if let Some(candidate) = gate.candidate {
                self.drop_one(candidate);
            }
        }
    }

    /// Takes a copy back that nobody calls.
    fn drop_one(&self, id: ModuleId) {
        if let Err(error) = self.manager.unload(id) {
            self.around.say(bareflow_loader::report::Style::Warning, format_args!("[WARN] a copy stays: {error}\n"));
        }
    }
}

fn explain(error: TrialError, names: [&str; 2]) -> String {
    let name = |side: usize| names.get(side).copied().unwrap_or_default();
    match error {
        TrialError::Faulted(side, fault) => format!("{} faulted: {fault}", name(side)),
        TrialError::Refused(side, error) => format!("{}: {error}", name(side)),
        TrialError::NoMemory => "no memory for so many measurements; ask for fewer".to_string(),
    }
}
