//! Calls that a client asks for.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bareflow_loader::diagnosis::show_fault;
use bareflow_loader::{ExecuteError, ModuleId, Platform, Returned};
use bareflow_protocol::Answer;
use bareflow_protocol::control::Called;

use crate::jobs::{SLICE, Slice, Work};
use crate::library::load_of;
use crate::tell::Voice;
use crate::{Server, Surroundings};

/// Calls between two looks at the clock.
const CALLS_AT_ONCE: u32 = 16;

/// Different results that are counted apart.
const MAX_RESULTS: usize = 16;

/// Calls under way.
pub(crate) struct Calls {
    selector: String,
    input: Vec<u8>,
    /// What the selector meant last.
    id: Option<ModuleId>,
    repeat: u32,
    done: u32,
    /// What came of the last one.
    last: Option<Returned>,
    results: Vec<(i32, u64)>,
    total_cycles: u64,
    min_cycles: u64,
    max_cycles: u64,
}

impl<P: Platform> Work<P> {
    /// So many calls of a module.
    pub fn call(selector: String, input: Vec<u8>, repeat: u32) -> Result<Work<P>, String> {
        if repeat == 0 {
            return Err("0 calls, expected at least 1".to_string());
        }
        Ok(Work::Call(Box::new(Calls {
            selector,
            input,
            id: None,
            repeat,
            done: 0,
            last: None,
            results: Vec::new(),
            total_cycles: 0,
            min_cycles: u64::MAX,
            max_cycles: 0,
        })))
    }
}

impl Calls {
    fn count(&mut self, returned: Returned) {
        let (result, cycles) = (returned.outcome.result, returned.cycles);
        self.done += 1;
        self.last = Some(returned);
        self.total_cycles = self.total_cycles.saturating_add(cycles);
        self.min_cycles = self.min_cycles.min(cycles);
        self.max_cycles = self.max_cycles.max(cycles);
        if let Some((_, count)) = self.results.iter_mut().find(|(known, _)| *known == result) {
            *count += 1;
        } else if self.results.len() < MAX_RESULTS {
            self.results.push((result, 1));
        }
    }
}

impl<P: Platform, S: Surroundings> Server<'_, P, S> {
    /// Makes some of the calls of the job of that number.
    pub(crate) fn call_some(&self, job: u64, calls: &mut Calls) -> Slice {
        let until = self.around.milliseconds() + SLICE;
        let mut outputs = self.outputs.borrow_mut();
        let [output, _] = outputs.of(job);
        loop {
            for _ in 0..CALLS_AT_ONCE.min(calls.repeat - calls.done) {
                if let Err(error) = self.call_once(calls, output) {
                    let done = calls.done;
                    let error = format!("{}: {error} (call {} of {})", calls.selector, done + 1, calls.repeat);
                    return Slice::Done(Answer::Refused { error });
                }
            }
            if calls.done == calls.repeat {
                return Slice::Done(self.called(calls, output));
            }
            if self.around.milliseconds() >= until {
                return Slice::More(calls.done.into(), calls.repeat.into());
            }
        }
    }

    fn call_once(&self, calls: &mut Calls, output: &mut [u8]) -> Result<(), String> {
        loop {
            let id = match calls.id {
                Some(id) => id,
                None => {
                    let id = self.select(&calls.selector)?;
                    if let Some(profile) = self.manager.stats(id) {
                        self.library.borrow_mut().note_input(&load_of(&profile), &calls.input);
                    }
                    *calls.id.insert(id)
                }
            };
            // What the call before wrote is not this one's.
            let before = calls.last.map_or(0, |last| last.outcome.output_length);
            output.iter_mut().take(before).for_each(|byte| *byte = 0);
            match self.manager.execute_timed(id, &calls.input, output) {
                Ok(returned) => {
                    calls.count(returned);
                    return Ok(());
                }
                // Another one took its place: that is called from now on.
                Err(ExecuteError::NotLoaded) => {
                    calls.id = None;
                    output.fill(0);
                }
                Err(error) => {
                    self.explain(id, &error);
                    return Err(error.to_string());
                }
            }
        }
    }

    /// Shows what is known of a fault, and keeps it.
    pub(crate) fn explain(&self, id: ModuleId, error: &ExecuteError) {
        let (ExecuteError::Faulted(fault), Some(profile)) = (error, self.manager.stats(id)) else { return };
        let diagnosis = self.manager.take_diagnosis(id);
        show_fault(&mut Voice(&self.around), &profile, fault, diagnosis.as_ref());
        self.library.borrow_mut().note_fault(&load_of(&profile), diagnosis);
    }

    fn called(&self, calls: &mut Calls, output: &[u8]) -> Answer {
        let (Some(last), Some(profile)) = (calls.last, calls.id.and_then(|id| self.manager.stats(id))) else {
            let error = format!("{}: it was unloaded just behind its last call", calls.selector);
            return Answer::Refused { error };
        };
        Answer::Called(Called {
            name: profile.name.to_string(),
            version: profile.version.to_string(),
            generation: profile.generation,
            calls: calls.done.into(),
            result: last.outcome.result,
            results: core::mem::take(&mut calls.results),
            output: output.get(..last.outcome.output_length).unwrap_or_default().to_vec(),
            total_cycles: calls.total_cycles,
            min_cycles: calls.min_cycles,
            max_cycles: calls.max_cycles,
        })
    }
}
