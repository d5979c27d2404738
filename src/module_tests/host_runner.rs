//! Runs examples in this process, and in a child process for the user domain.

use anyhow::{Context, Result};
use bareflow_host::HostPlatform;
use bareflow_loader::{Budget, Domain, FaultPolicy, LoadOptions, ModuleId, ModuleManager, Timing};
use bareflow_suite::OUTPUT_CAPACITY;
use bareflow_suite::functions::{AlignedBytes, call_function};
use tempfile::TempDir;

use super::{Candidate, ExampleOutcome, Runner};
use crate::in_process;

/// The runner for this process.
pub(super) struct HostRunner {
    /// The module that was loaded last, and its manager.
    loaded: Option<(ModuleManager<HostPlatform>, ModuleId)>,
    /// The folder for what modules store.
    store: TempDir,
    /// The limits of modules' budgets, if they are restricted.
    limits: Option<Budget>,
    /// The lines that set parameters and bind imports.
    lines: String,
}

impl HostRunner {
    pub(super) fn new(limits: Option<Budget>, lines: String) -> Result<HostRunner> {
        Ok(HostRunner { loaded: None, store: tempfile::tempdir()?, limits, lines })
    }
}

impl Runner for HostRunner {
    fn name(&self) -> &'static str {
        "host"
    }

    fn load(&mut self, candidate: &Candidate, domain: Domain) -> Result<Result<(), String>> {
        self.loaded = None;
        let manager = in_process::manager(Timing::Fast, |_| (), Some(self.store.path()))?;
        let options = LoadOptions {
            domain,
            on_fault: FaultPolicy::Restart,
            limits: self.limits.unwrap_or(Budget::LIMITS),
            ..LoadOptions::default()
        };
        for blob in &candidate.needed {
            if let Err(error) = manager.load_with(blob, options.with_parameters(&&*self.lines)) {
                let error = in_process::load_error(&manager, blob, &options, &error);
                return Ok(Err(format!("a module that it needs is refused: {error}")));
            }
        }
        match manager.load_with(&candidate.blob, options.with_parameters(&&*self.lines)) {
            Ok(id) => self.loaded = Some((manager, id)),
            Err(error) => return Ok(Err(in_process::load_error(&manager, &candidate.blob, &options, &error))),
        }
        Ok(Ok(()))
    }

    fn call(&mut self, function: Option<&str>, input: &[u8]) -> Result<Result<ExampleOutcome, String>> {
        let (manager, id) = self.loaded.as_ref().context("no module is loaded")?;
        let mut output = vec![0; OUTPUT_CAPACITY];
        let called = match function.map(|function| manager.function_of(*id, function)) {
            None => manager.execute_with(*id, input, &mut output),
            Some(Err(error)) => return Ok(Err(error.to_string())),
            Some(Ok(function)) => {
                let input = AlignedBytes::copy(input)?;
                match call_function(manager, function, input.get(), &mut output) {
                    Ok(called) => called.map(|timed| timed.outcome),
                    Err(error) => return Ok(Err(error.into_owned())),
                }
            }
        };
        Ok(match called {
            Ok(done) => {
                output.truncate(done.output_length);
                Ok(ExampleOutcome { result: done.result, output, instructions: None })
            }
            Err(error) => Err(in_process::call_error(manager, *id, &error)),
        })
    }
}
