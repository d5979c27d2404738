//! Calls requested by clients.

use alloc::string::String;
use alloc::vec::Vec;

use allocator_api2::boxed::Box;
use bareflow_loader::diagnosis::FaultText;
use bareflow_loader::{Callee, ExecuteError, LoadError, LoadOptions, ModuleId, Platform, TimedCall};
use bareflow_protocol::Response;
use bareflow_protocol::control::{Called, Refusal, RefusalCode};
use bareflow_suite::console::{explain_refusal, show_fault};
use bareflow_suite::fallible::{ErrorText, NoMemory};
use bareflow_suite::functions::{AlignedBytes, call_function};
use bareflow_suite::{error_text, text};

use crate::functions::FunctionNames;
use crate::time_slice::{Poll, SLICE_MS};
use crate::{Server, ServerEnvironment};

/// The number of calls between two readings of the clock.
const CALLS_AT_ONCE: u32 = 16;

/// The maximum number of different results that are counted separately.
const MAX_RESULTS: usize = 16;

/// A running job of calls.
pub(crate) struct Calls {
    selector: String,
    input: AlignedBytes,
    /// The code that the selector last matched, and the module's texts, which are made before it is called.
    callee: Option<Callee>,
    name: String,
    version: String,
    repeat: u32,
    done: u32,
    /// The last call that returned.
    last: Option<TimedCall>,
    results: Vec<(i32, u64)>,
    total_cycles: u64,
    min_cycles: u64,
    max_cycles: u64,
}

impl Calls {
    /// Creates a job of `repeat` calls.
    pub fn new(selector: &str, input: &[u8], repeat: u32) -> Result<Box<Calls>, ErrorText> {
        if repeat == 0 {
            return Err("0 calls, expected at least 1".into());
        }
        let mut results = Vec::new();
        results.try_reserve_exact(MAX_RESULTS).map_err(NoMemory::from)?;
        let calls = Calls {
            selector: text!("{selector}")?,
            input: AlignedBytes::copy(input)?,
            callee: None,
            name: String::new(),
            version: String::new(),
            repeat,
            done: 0,
            last: None,
            results,
            total_cycles: 0,
            min_cycles: u64::MAX,
            max_cycles: 0,
        };
        Ok(Box::try_new(calls).map_err(|_| NoMemory)?)
    }

    /// Returns the number of input bytes that the client has sent.
    pub fn input_bytes(&self) -> usize {
        self.input.get().len()
    }

    fn count(&mut self, returned: TimedCall) {
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

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// Makes some of the calls of the job numbered `job`.
    pub(crate) fn call_some(&self, job: u64, calls: &mut Calls) -> Poll {
        let until = self.environment.milliseconds() + SLICE_MS;
        self.with_outputs(job, |[output, _]| {
            loop {
                for _ in 0..CALLS_AT_ONCE.min(calls.repeat - calls.done) {
                    if let Err(refusal) = self.call_once(calls, output) {
                        return Poll::Ready(Response::Refused(Refusal { call: Some(calls.done + 1), ..refusal }));
                    }
                }
                if calls.done == calls.repeat {
                    return Poll::Ready(self.called(calls, output));
                }
                if self.environment.milliseconds() >= until {
                    return Poll::Pending(calls.done.into(), calls.repeat.into());
                }
            }
        })
    }

    fn call_once(&self, calls: &mut Calls, output: &mut [u8]) -> Result<(), Refusal> {
        loop {
            let callee = match calls.callee {
                Some(callee) => callee,
                None => {
                    let callee = self.callee(&calls.selector)?;
                    if let Some(profile) = self.manager.stats(callee.module()) {
                        (calls.name, calls.version) = (text!("{}", profile.name)?, text!("{}", profile.version)?);
                    }
                    if let Callee::Run(id) = callee {
                        self.store.borrow_mut().note_input(id, calls.input.get());
                    }
                    *calls.callee.insert(callee)
                }
            };
            // Clears the previous call's output, which must not be taken for this call's.
            let before = calls.last.map_or(0, |last| last.outcome.output_length);
            output.iter_mut().take(before).for_each(|byte| *byte = 0);
            let executed = match callee {
                Callee::Run(id) => self.unborrowed().execute_timed(id, calls.input.get(), output),
                Callee::Function(function) => call_function(self.unborrowed(), function, calls.input.get(), output)?,
            };
            self.log_reaped();
            match executed {
                Ok(returned) => {
                    calls.count(returned);
                    return Ok(());
                }
                // The module was replaced: the new one is called from now on.
                Err(ExecuteError::NotLoaded) => {
                    calls.callee = None;
                    output.fill(0);
                }
                Err(error) => {
                    let id = callee.module();
                    let text = match error {
                        ExecuteError::NoRun => error_text!("{error}; {}", FunctionNames(&self.manager, id)),
                        error => self.explain(id, &error).unwrap_or_else(|| error_text!("{error}")),
                    };
                    let code = if error.is_for_memory() { RefusalCode::NoMemory } else { RefusalCode::CallFailed };
                    return Err(Refusal::new(code, text));
                }
            }
        }
    }

    /// Shows the diagnosis of a fault, keeps it, and returns a summary on one line.
    pub(crate) fn explain(&self, id: ModuleId, error: &ExecuteError) -> Option<ErrorText> {
        let (ExecuteError::Faulted(fault), Some(profile)) = (error, self.manager.stats(id)) else { return None };
        let diagnosis = self.manager.take_diagnosis(id);
        show_fault(&self.environment, FaultText::new(&profile, fault, diagnosis.as_ref()));
        let explained = error_text!("faulted: {}", profile.explain(fault, diagnosis.as_ref()));
        self.store.borrow_mut().note_fault(id, diagnosis);
        Some(explained)
    }

    /// Returns the reason for a refused load on one line. Shows a fault with its diagnosis on the console.
    pub(crate) fn explain_load(&self, blob: &[u8], options: &LoadOptions, error: &LoadError) -> ErrorText {
        explain_refusal(&self.manager, blob, options, error, &self.environment)
    }

    /// Answers a finished job of calls. The answer takes the output buffer with it: see [`Server::recycle`].
    fn called(&self, calls: &mut Calls, output: &mut Vec<u8>) -> Response {
        let (Some(last), Some(profile)) =
            (calls.last, calls.callee.and_then(|callee| self.manager.stats(callee.module())))
        else {
            let error = error_text!("{}: it was unloaded just after its last call", calls.selector);
            return Response::Refused(error.into());
        };
        let mut output = core::mem::take(output);
        output.truncate(last.outcome.output_length);
        Response::Called(Called {
            name: core::mem::take(&mut calls.name),
            version: core::mem::take(&mut calls.version),
            generation: profile.generation,
            calls: calls.done.into(),
            result: last.outcome.result,
            results: core::mem::take(&mut calls.results),
            output,
            total_cycles: calls.total_cycles,
            min_cycles: calls.min_cycles,
            max_cycles: calls.max_cycles,
        })
    }
}
