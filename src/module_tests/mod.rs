//! The `test` command.
//!
//! It runs the examples in modules' `Cargo.toml`, in both domains, on the host (`host_runner`) and in a kernel
//! (`kernel_runner`), and shows the outcomes (`show`).

mod host_runner;
mod kernel_runner;
mod show;
mod summary;

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use bareflow_builder::{Example, ModuleCrate, build_module};
use bareflow_loader::{Assignment, Budget, Domain, FaultPolicy, LoadOptions, RawModule};
use bareflow_protocol::tier::Portable;
use bareflow_suite::console::explain_unused;
use bareflow_suite::load_defaults::LoadDefaults;
use bareflow_suite::module_limits::ModuleLimits;
use bareflow_suite::portable::{is_wasm, name_of_file};
use serde_json::Value;

use crate::Exit;
use crate::build_command::{chosen, progress, warn, warn_of_flags};
use crate::engines::{self, EngineBlob};
use crate::input_files::{read_blob, write_json};
use crate::interfaces::exports::{self, Interface};
use crate::interfaces::signature::Signature;
use crate::needed::{name_of, needed_by};
use crate::options::{Budgets, BuildOptions, TestOptions};
use show::Tested;
use summary::TestRun;

/// A module with its blob and its examples.
struct Candidate {
    name: String,
    version: String,
    /// The blobs of the modules that it calls and of the providers of its imports, in the order of their loads.
    needed: Vec<Vec<u8>>,
    blob: Vec<u8>,
    examples: Vec<Example>,
}

impl Candidate {
    /// Returns all files, in the order of their loads.
    fn files(&self) -> impl Iterator<Item = &[u8]> {
        self.needed.iter().chain([&self.blob]).map(Vec::as_slice)
    }
}

/// The settings of all tests.
struct Settings {
    /// The engines, if there is a portable module.
    engines: Vec<EngineBlob>,
    /// The options for portable modules.
    portable: Portable,
    /// The limits of modules' budgets, if they are restricted.
    budgets: Option<Budgets>,
    /// The lines that set parameters and bind imports.
    lines: String,
}

impl Settings {
    /// Returns the options of loads into `domain`.
    fn defaults(&self, domain: Domain) -> LoadDefaults<'_> {
        let (limits, of_modules) = match &self.budgets {
            Some(Budgets { of_all, of_modules }) => (*of_all, of_modules.as_str()),
            None => (Budget::LIMITS, ""),
        };
        LoadDefaults {
            load: LoadOptions { domain, limits, on_fault: FaultPolicy::Restart, ..LoadOptions::default() },
            limits: ModuleLimits::new(of_modules),
            portable: self.portable,
        }
    }
}

/// The outcome of a call.
struct ExampleOutcome {
    result: i32,
    output: Vec<u8>,
    /// The number of instructions it took, where they are counted.
    instructions: Option<u64>,
}

/// An environment in which modules can be loaded and called.
trait Runner {
    /// Returns the name in reports: `host` or `kernel`.
    fn name(&self) -> &'static str;

    /// Loads a module into a domain, after its dependencies. It replaces the module that was loaded last.
    ///
    /// # Errors
    /// When the runner fails. The inner error says why the module was refused.
    fn load(&mut self, candidate: &Candidate, domain: Domain) -> Result<Result<(), String>>;

    /// Calls the module that was loaded last, or a function of it.
    ///
    /// # Errors
    /// When the runner fails. The inner error says why the call gave no result.
    fn call(&mut self, function: Option<&str>, input: &[u8]) -> Result<Result<ExampleOutcome, String>>;
}

/// Runs the command.
///
/// # Errors
/// When there is nothing to test, or the tests can't be run.
pub fn test(options: &TestOptions) -> Result<Exit> {
    let (files, names): (Vec<_>, Vec<_>) = options.which.names.iter().cloned().partition(|name| is_portable_file(name));
    let which = BuildOptions { names, ..options.which.clone() };
    let modules = if files.is_empty() || !which.names.is_empty() { chosen(&which)? } else { Vec::new() };
    warn_of_flags();
    let lines = options.assignments.lines();
    let progress = progress(modules.len());
    let mut tested = Vec::new();
    let mut candidates = files.iter().map(|file| portable_candidate(file)).collect::<Result<Vec<_>>>()?;
    for (module, folder) in &modules {
        progress.set_message(module.name.clone());
        let examples = module.examples()?;
        match build_module(module, folder) {
            Ok(blob) => {
                progress.suspend(|| warn(&blob));
                candidates.push(Candidate {
                    name: module.name.clone(),
                    version: version(module),
                    needed: needed_by(module, &blob.bytes, modules.iter().map(|(other, _)| other.clone()), &lines)?,
                    blob: blob.bytes,
                    examples,
                });
            }
            Err(error) => {
                progress.suspend(|| crate::complain!("error: {error}"));
                tested.push(Tested {
                    name: module.name.clone(),
                    version: version(module),
                    examples: examples.len(),
                    trials: Vec::new(),
                    error: Some(error.to_string()),
                });
            }
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    if tested.is_empty() && candidates.iter().all(|candidate| candidate.examples.is_empty()) {
        bail!(
            "no module here has an example; write one into its Cargo.toml: \
             [[package.metadata.bareflow.example]] with input, and output or result"
        );
    }
    let is_loaded = |name: &str| {
        candidates
            .iter()
            .any(|candidate| candidate.name == name || candidate.needed.iter().any(|blob| name_of(blob) == name))
    };
    if let Some(unused) = Assignment::all(&lines).flatten().find(|line| !is_loaded(line.module)) {
        bail!("{}: {}", unused.line, explain_unused(&unused));
    }
    let has_portable = candidates.iter().flat_map(Candidate::files).any(is_wasm);
    let settings = Settings {
        engines: if has_portable { engines::find(&options.portable)? } else { Vec::new() },
        portable: options.portable.portable(),
        budgets: options.budget.clone(),
        lines,
    };
    let mut runners: Vec<Box<dyn Runner + '_>> = vec![Box::new(host_runner::HostRunner::new(&settings)?)];
    if options.boot {
        runners.push(Box::new(kernel_runner::KernelRunner::boot(&candidates, &settings)?));
    }
    for candidate in &candidates {
        let outcome = try_everywhere(candidate, &mut runners)?;
        outcome.show();
        tested.push(outcome);
    }
    let passed = tested.iter().all(Tested::passed);
    if let Some(path) = &options.json {
        write_json(path, &show::document(&tested, passed))?;
    }
    Ok(if passed { Exit::Passed } else { Exit::Failed })
}

/// Returns whether a name is that of a file of WebAssembly, rather than of a crate.
fn is_portable_file(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "wasm")
}

/// Returns the file of a portable module as what is tested: one call, which must return what the file says, if it does.
fn portable_candidate(file: &str) -> Result<Candidate> {
    let blob = read_blob(Path::new(file)).map_err(|error| anyhow!("{file}: {error}"))?;
    if !is_wasm(&blob) {
        bail!("{file} is no WebAssembly, expected a portable module; name a crate, or another file");
    }
    let examples = vec![Example::default()];
    Ok(Candidate { name: name_of_file(file).to_owned(), version: "-".to_owned(), needed: Vec::new(), blob, examples })
}

fn version(module: &ModuleCrate) -> String {
    let (major, minor, patch) = module.version;
    format!("{major}.{minor}.{patch}")
}

/// Runs a module's examples in every runner and domain.
fn try_everywhere(candidate: &Candidate, runners: &mut [Box<dyn Runner + '_>]) -> Result<Tested> {
    let mut trials = Vec::new();
    for runner in runners.iter_mut().filter(|_| !candidate.examples.is_empty()) {
        for domain in [Domain::Kernel, Domain::User] {
            let mut trial = TestRun::new(runner.name(), domain.name());
            match runner.load(candidate, domain)? {
                Ok(()) => try_all(candidate, runner.as_mut(), &mut trial)?,
                Err(refusal) => trial.failures.push(format!("refused: {refusal}")),
            }
            trials.push(trial);
        }
    }
    let (name, version) = (candidate.name.clone(), candidate.version.clone());
    Ok(Tested { name, version, examples: candidate.examples.len(), trials, error: None })
}

/// Runs all examples, and records the failures and the instructions.
fn try_all(candidate: &Candidate, runner: &mut dyn Runner, trial: &mut TestRun) -> Result<()> {
    let interfaces = RawModule::parse(&candidate.blob).map(exports::of_blob).unwrap_or_default();
    for (number, example) in (1..).zip(&candidate.examples) {
        let failure = match call(&interfaces, example) {
            Ok((method, input)) => match runner.call(example.function.as_deref(), &input)? {
                Ok(done) => {
                    trial.count(done.instructions);
                    match method {
                        Some(method) => show::other_answer(example, &method, &input, &done),
                        None => show::difference(example, done.result, &done.output),
                    }
                }
                Err(error) => Some(error),
            },
            Err(error) => Some(error.to_string()),
        };
        trial.failures.extend(failure.map(|failure| format!("example {number}: {failure}")));
    }
    Ok(())
}

/// Returns the signature of an example's method, if it calls one, and the input of the call.
fn call(interfaces: &[Interface], example: &Example) -> Result<(Option<Signature>, Vec<u8>)> {
    let found = example.function.as_deref().and_then(|function| exports::find(interfaces, function));
    match found.filter(|(interface, _)| !interface.name.is_empty()) {
        Some((interface, index)) => {
            let method = interface.signature(index)?;
            if example.answer.is_none() {
                bail!("a method, expected arguments and an answer: `{}`", method.text);
            }
            let input = method.pack(&Value::Array(example.arguments.clone()))?;
            Ok((Some(method), input))
        }
        None if example.answer.is_some() => {
            bail!("no method {}, or no signature of it; see `inspect`", example.function.as_deref().unwrap_or_default())
        }
        None => Ok((None, example.input.clone())),
    }
}
