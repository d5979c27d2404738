//! Runs examples in this process, and in a child process for the user domain.

use std::borrow::Cow;
use std::fmt;

use anyhow::{Context, Result};
use bareflow_host::HostPlatform;
use bareflow_loader::{Domain, ModuleId, ModuleManager, Timing};
use bareflow_suite::OUTPUT_CAPACITY;
use bareflow_suite::console::{Console, Style};
use bareflow_suite::functions::{AlignedBytes, call_function};
use bareflow_suite::load_defaults::LoadDefaults;
use bareflow_suite::module_file::ModuleFile;
use tempfile::TempDir;

use super::{Candidate, ExampleOutcome, Runner, Settings};
use crate::in_process;

/// The runner for this process.
pub(super) struct HostRunner<'all> {
    /// The module that was loaded last, and its manager.
    loaded: Option<(ModuleManager<HostPlatform>, ModuleId)>,
    /// The folder for what modules store.
    store: TempDir,
    settings: &'all Settings,
}

impl HostRunner<'_> {
    pub(super) fn new(settings: &Settings) -> Result<HostRunner<'_>> {
        Ok(HostRunner { loaded: None, store: tempfile::tempdir()?, settings })
    }
}

impl Runner for HostRunner<'_> {
    fn name(&self) -> &'static str {
        "host"
    }

    fn load(&mut self, candidate: &Candidate, domain: Domain) -> Result<Result<(), String>> {
        self.loaded = None;
        let manager = in_process::manager(Timing::Fast, |_| (), Some(self.store.path()))?;
        let defaults = self.settings.defaults(domain);
        for (label, engine) in &self.settings.engines {
            if let Err(error) = load(&manager, label, engine, &defaults, "") {
                return Ok(Err(format!("the engine {label} is refused: {error}")));
            }
        }
        for blob in &candidate.needed {
            if let Err(error) = load(&manager, "needed", blob, &defaults, &self.settings.lines) {
                return Ok(Err(format!("a module that it needs is refused: {error}")));
            }
        }
        match load(&manager, &candidate.name, &candidate.blob, &defaults, &self.settings.lines) {
            Ok(id) => self.loaded = Some((manager, id)),
            Err(error) => return Ok(Err(error)),
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

/// Loads a file. An error says why it was refused.
fn load(
    manager: &ModuleManager<HostPlatform>,
    label: &str,
    bytes: &[u8],
    defaults: &LoadDefaults<'_>,
    lines: &str,
) -> Result<ModuleId, String> {
    let mut file = ModuleFile::new(Cow::Borrowed(bytes));
    file.compile(manager, label, defaults, None, None)
        .map_err(|refusal| refusal.explain(manager, &Nowhere, |_, _| ()).into_owned())?;
    let options = defaults.options(file.blob());
    file.load(manager, options.with_parameters(&lines))
        .map_err(|error| in_process::load_error(manager, file.blob(), &options, &error))
}

/// A console that shows nothing: a refusal says what matters.
struct Nowhere;

impl Console for Nowhere {
    fn show(&self, _: Style, _: fmt::Arguments<'_>) {}
}
