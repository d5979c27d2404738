//! A run of the whole system.
//!
//! It loads everything, runs the four tests and all further modules, shows the statistics, and returns the report.
//!
//! The kernel and the host's process run this same code, each with its own platform and console.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[macro_use]
pub mod console;

pub mod archive;
pub mod compile_refusal;
pub mod dependency_cycles;
pub mod events;
pub mod fallible;
pub mod figures;
pub mod functions;
pub mod load_defaults;
pub mod module_file;
pub mod module_limits;
pub mod module_statistics;
#[cfg(feature = "portable")]
pub mod portable;
mod report;
mod statistics;
mod tests_four;
#[cfg(feature = "portable")]
pub mod tiers;

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bareflow_abi::checksum::crc32c;
use bareflow_abi::header::{FLAG_NO_RUN, Header};
use bareflow_abi::record::{EVENTS, EXPECTED_RESULT};
use bareflow_loader::diagnosis::FaultText;
use bareflow_loader::records::first_record;
use bareflow_loader::{
    Assignment, BatchTiming, Counters, Diagnosis, ExecuteError, InvalidModule, LoadError, ModuleId, ModuleManager,
    Platform, Printable, RawModule,
};
use bareflow_protocol::Report;
use bareflow_protocol::report::{Environment, Refusal, Test};
use compile_refusal::CompileRefusal;
use console::{Console, Style, explain_refusal, explain_unused, show_fault, unused_parameters};
use core::mem;
use dependency_cycles::DependencyGraph;
use fallible::ErrorText;
use load_defaults::LoadDefaults;
use module_file::ModuleFile;
pub use report::{fault, module, with_details};

/// The capacity of a module's output buffer, in bytes.
pub const OUTPUT_CAPACITY: usize = 256 << 10;

/// The embedded module that is loaded again to measure the cost of a load.
pub const LOADED_AGAIN: &str = "sum";

/// A blob and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source<'blob> {
    /// The source's name in messages.
    pub label: String,
    /// The blob.
    pub bytes: &'blob [u8],
}

impl Source<'_> {
    /// Returns whether it is a file of the module `name`, as far as that is known before it is loaded.
    fn is_of(&self, name: &str) -> bool {
        #[cfg(feature = "portable")]
        if portable::is_wasm(self.bytes) {
            return portable::name_of_file(&self.label) == name;
        }
        RawModule::parse(self.bytes).is_ok_and(|raw| raw.header().name_bytes() == name.as_bytes())
    }
}

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct Plan<'run> {
    /// The embedded blobs, in the order in which they are loaded.
    pub embedded: Vec<Source<'run>>,
    /// Further blobs, which are loaded after them.
    pub files: Vec<Source<'run>>,
    /// The input of every module but the four.
    pub input: &'run [u8],
    /// The number of runs of every module but the four.
    pub repeat: u32,
    /// The options of all loads.
    pub load: LoadDefaults<'run>,
    /// The parameters to set and the imports to bind, one [`Assignment`] on each line.
    pub parameters: &'run str,
    /// The place of the run, in its report: `host` or `kernel`.
    pub place: &'static str,
    /// The clock: `tsc`, or `icount` if a tick is an instruction.
    pub clock: &'static str,
    /// The processor's name and x86-64 level.
    pub cpu: String,
    /// Whether each module is called many times in a row at the end, to measure the time of one call.
    pub batch: bool,
    /// The time for which events of modules are run after the tests, in microseconds.
    pub events_us: u64,
    /// Waits for at most so many microseconds.
    pub sleep: fn(u64),
    /// The clock when the kernel was entered; `None` in a process.
    pub started: Option<u64>,
}

/// A run in progress.
struct Run<'run, P: Platform, C> {
    manager: &'run ModuleManager<P>,
    console: &'run C,
    plan: &'run Plan<'run>,
    tests: Vec<Test>,
    refused: Vec<Refusal>,
    /// The diagnoses of faults.
    diagnoses: Vec<(ModuleId, Diagnosis)>,
    /// The clock right before the first call.
    first_call: Option<u64>,
    #[cfg(feature = "portable")]
    rates: tiers::Rates,
}

/// A file that is to be loaded.
struct Waiting<'run, P: Platform> {
    label: &'run str,
    file: ModuleFile<'run, P>,
}

/// The outcome of a load.
enum Loading {
    /// The module is loaded.
    Done(String, ModuleId),
    /// A dependency is missing, which may still be loaded.
    Waits,
    /// The module was refused.
    Refused,
}

/// Returns the x86-64 level that the module needs, if it was refused because the processor lacks it.
const fn missing_cpu_level(error: &LoadError) -> Option<u8> {
    match *error {
        LoadError::Invalid(InvalidModule::CpuLevel { found, available }) if found > available => Some(found),
        _ => None,
    }
}

/// A module that is run after the four.
struct Further<'run, P: Platform> {
    label: String,
    id: ModuleId,
    expected: Option<i32>,
    file: ModuleFile<'run, P>,
}

/// Carries out `plan`. Returns the report.
pub fn run<P: Platform>(manager: &ModuleManager<P>, plan: &Plan<'_>, console: &impl Console) -> Report {
    let (tests, refused, diagnoses) = (Vec::new(), Vec::new(), Vec::new());
    let mut run = Run {
        manager,
        console,
        plan,
        tests,
        refused,
        diagnoses,
        first_call: None,
        #[cfg(feature = "portable")]
        rates: tiers::Rates::MEASURED_ELSEWHERE,
    };
    console::greet(run.console);
    let mut further = run.load_all(plan);
    run.run_the_four();
    for module in &mut further {
        run.run_further(module, plan);
    }
    run.run_events();
    let environment = report::environment(manager, plan);
    let with_ascent = |id, module| match further.iter().find(|one| one.id == id) {
        Some(one) => one.file.with_ascent(module),
        None => Ok(module),
    };
    let (mut modules, mut undescribed) = report::modules(manager, &run.diagnoses, &[], with_ascent);
    statistics::show(run.console, &environment, &modules);
    if plan.batch {
        let batches = run.measure_batches(plan);
        (modules, undescribed) = report::modules(manager, &run.diagnoses, &batches, with_ascent);
    }
    line!(run.console);
    line!(run.console, Title, "=== ALL MODULE TESTS COMPLETED ===");
    let first_call_cycles = run.first_call.zip(plan.started).map(|(call, start)| call.saturating_sub(start));
    let load_cycles = plan.embedded.iter().find(|source| source.label.trim_end_matches(".mod") == LOADED_AGAIN);
    let load_cycles = load_cycles.and_then(|source| manager.load_cycles(source.bytes));
    let environment = Environment { first_call_cycles, load_cycles, ..environment };
    run.refused.extend(undescribed);
    report::report(environment, run.tests, run.refused, modules)
}

impl<'run, P: Platform, C: Console> Run<'run, P, C> {
    /// Loads all blobs. Returns the modules to run after the four.
    fn load_all(&mut self, plan: &'run Plan<'run>) -> Vec<Further<'run, P>> {
        line!(self.console, Plain, "[INIT] Loading embedded modules...");
        let mut further = Vec::new();
        // A file with the same bytes as an embedded blob is left out, since the embedded one runs anyway.
        let is_embedded = |file: &&Source<'_>| plan.embedded.iter().any(|source| source.bytes == file.bytes);
        let files = plan.files.iter().filter(|file| !is_embedded(file));
        let file = |source: &'run Source<'run>| Waiting {
            label: &source.label,
            file: ModuleFile::new(Cow::Borrowed(source.bytes)),
        };
        let mut waiting: Vec<_> = plan.embedded.iter().chain(files).map(file).collect();
        // Files with missing dependencies are retried until no further one can be loaded.
        loop {
            let before = waiting.len();
            waiting.retain_mut(|one| match self.load(one) {
                Loading::Waits => true,
                Loading::Refused => false,
                Loading::Done(name, id) => {
                    let blob = one.file.blob();
                    if !has_run(blob) {
                        let does = if has_events(blob) { "handles events" } else { "exports functions" };
                        line!(self.console, Plain, "     {name} only {does}, so no test calls it");
                    } else if !tests_four::NAMES.contains(&name.as_str()) {
                        let (expected, file) = (expected_result(blob), mem::take(&mut one.file));
                        further.push(Further { label: name, id, expected, file });
                    }
                    false
                }
            });
            if waiting.len() == before {
                break;
            }
        }
        self.refuse_all(waiting);
        // Of a module that was refused it was said why.
        let is_refused =
            |line: &Assignment<'_>| plan.embedded.iter().chain(&plan.files).any(|source| source.is_of(line.module));
        for unused in unused_parameters(self.manager, plan.parameters).filter(|line| !is_refused(line)) {
            self.refuse(Refusal::new(unused.line.to_string(), explain_unused(&unused).into_owned()));
        }
        line!(self.console);
        self.console.show(Style::Good, format_args!("[OK]"));
        line!(self.console, Plain, " Loaded {} modules", self.manager.profiles().count());
        line!(self.console);
        further
    }

    fn load(&mut self, one: &mut Waiting<'run, P>) -> Loading {
        match self.compile(one) {
            Ok(()) => {}
            Err(CompileRefusal::NoEngine(_)) => return Loading::Waits,
            Err(refusal) => {
                let error = self.explain_compile(refusal);
                self.refuse(Refusal::new(one.label.to_string(), error.into_owned()));
                return Loading::Refused;
            }
        }
        let options = self.plan.load.options(one.file.blob());
        match one.file.load(self.manager, options.with_parameters(&self.plan.parameters)) {
            Ok(id) => {
                let Some(profile) = self.manager.stats(id) else { return Loading::Refused };
                self.console.show(Style::Good, format_args!("[OK]"));
                line!(self.console, Plain, " Module loaded: {} (entry: {:#x})", profile.name, profile.entry_address);
                #[cfg(feature = "portable")]
                portable::note_untrusted(self.manager, self.console, id);
                Loading::Done(profile.name.to_string(), id)
            }
            Err(error) if error.is_for_another_module() => Loading::Waits,
            Err(error) => {
                let text = explain_refusal(self.manager, one.file.blob(), &options, &error, self.console).into_owned();
                let refusal = Refusal::new(one.label.to_string(), text);
                if let LoadError::AlreadyLoaded { name, .. } = &error {
                    line!(self.console, Warning, "[WARN] Module already loaded: {name}");
                    self.refused.push(refusal);
                } else {
                    self.refuse(Refusal { missing_cpu_level: missing_cpu_level(&error), ..refusal });
                }
                Loading::Refused
            }
        }
    }

    fn compile(&self, one: &mut Waiting<'run, P>) -> Result<(), CompileRefusal> {
        one.file.compile(self.manager, one.label, &self.plan.load, None, None)
    }

    /// Returns the reason for which a file was not compiled, and keeps the diagnosis of a fault.
    fn explain_compile(&mut self, refusal: CompileRefusal) -> ErrorText {
        let diagnoses = &mut self.diagnoses;
        refusal.explain(self.manager, self.console, |id, diagnosis| {
            diagnoses.extend(diagnosis.map(|diagnosis| (id, diagnosis)));
        })
    }

    /// Reports the reason for which each of these files can't be loaded. Each misses another module.
    fn refuse_all(&mut self, mut waiting: Vec<Waiting<'run, P>>) {
        let mut errors = Vec::new();
        {
            let graph = DependencyGraph::of(waiting.iter().map(|one| one.file.blob())).ok();
            for index in 0..waiting.len() {
                errors.push(graph.as_ref().and_then(|graph| graph.cycle(index).ok().flatten()));
            }
        }
        for (one, cycle) in waiting.iter_mut().zip(errors) {
            let error = cycle.or_else(|| self.missing(one)).unwrap_or_default();
            self.refuse(Refusal::new(one.label.to_string(), error.into_owned()));
        }
    }

    /// Returns what a file misses.
    fn missing(&mut self, one: &mut Waiting<'run, P>) -> Option<ErrorText> {
        if let Err(refusal) = self.compile(one) {
            return Some(self.explain_compile(refusal));
        }
        let options = self.plan.load.options(one.file.blob());
        let error = one.file.load(self.manager, options.with_parameters(&self.plan.parameters)).err()?;
        Some(explain_refusal(self.manager, one.file.blob(), &options, &error, self.console))
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.console.show(Style::Error, format_args!("[ERROR]"));
        line!(self.console, Plain, " {}: {}", refusal.source, refusal.error);
        self.refused.push(refusal);
    }

    /// Runs a module that is not one of the four.
    fn run_further(&mut self, module: &mut Further<'_, P>, plan: &Plan<'_>) {
        let number = self.tests.len() + 1;
        line!(self.console, Heading, "[TEST {number}] {} Module", module.label);
        let mut output = alloc::vec![0; OUTPUT_CAPACITY];
        let mut last = None;
        let mut passed = true;
        self.note_first_call();
        for _ in 0..plan.repeat.max(1) {
            #[cfg(feature = "portable")]
            self.ascend(module, plan);
            // Clears the previous call's output, which must not be taken for this call's.
            let before = last.map_or(0, |last: bareflow_loader::CallOutcome| last.output_length);
            output.iter_mut().take(before).for_each(|byte| *byte = 0);
            match self.manager.execute_with(module.id, plan.input, &mut output) {
                Ok(outcome) => {
                    passed &= module.expected.is_none_or(|expected| expected == outcome.result);
                    last = Some(outcome);
                }
                Err(error) => {
                    self.show_error(&module.label, module.id, &error);
                    (last, passed) = (None, false);
                    // A module that was restarted can be called again.
                    if self.manager.stats(module.id).is_none_or(|profile| profile.stopped) {
                        break;
                    }
                }
            }
        }
        if let Some(outcome) = last {
            match module.expected {
                Some(expected) => line!(self.console, Plain, "  Result: {} (expected: {expected})", outcome.result),
                None => line!(self.console, Plain, "  Result: {}", outcome.result),
            }
            if let Some(written) = output.get(..outcome.output_length).filter(|written| !written.is_empty()) {
                line!(self.console, Plain, "  Output: {}", Printable(written));
                self.console.keep_output(&module.label, written);
            }
        }
        self.conclude(&module.label, module.expected, last.map(|outcome| outcome.result), passed, "Test passed!");
        let written = last.and_then(|outcome| output.get(..outcome.output_length));
        if let Some(test) = self.tests.last_mut() {
            test.output_checksum = written.map(|written| crc32c(&[written]));
        }
    }

    /// Compiles a portable module for its next tier, if it has cost enough: no one waits for the next call.
    #[cfg(feature = "portable")]
    fn ascend(&mut self, module: &mut Further<'_, P>, plan: &Plan<'_>) {
        if let Some(tier) = module.file.next_tier(self.manager, module.id, &self.rates)
            && let Some(reloaded) = module.file.ascend(
                self.manager,
                self.console,
                (module.id, tier),
                plan.input,
                &mut self.rates,
                |compile| compile(),
            )
        {
            module.id = reloaded.id;
        }
    }

    /// Calls each module many times in a row and shows the time of one call.
    fn measure_batches(&mut self, plan: &Plan<'_>) -> Vec<(ModuleId, BatchTiming)> {
        line!(self.console);
        line!(self.console, Title, "Calls in a row (cycles per call, less an empty call)");
        let mut output = alloc::vec![0; OUTPUT_CAPACITY];
        let mut batches = Vec::new();
        for profile in self.manager.profiles().filter(|profile| !profile.stopped) {
            let name = profile.name;
            let Some(id) = self.manager.find(name.as_str()) else { continue };
            let four = tests_four::NAMES.contains(&name.as_str());
            output.fill(0);
            let (input, output): (&[u8], &mut [u8]) = if four { (&[], &mut []) } else { (plan.input, &mut output) };
            match self.manager.batched(id, input, output) {
                Ok(batched) => {
                    let (cycles, part) = (batched.centicycles / 100, batched.centicycles % 100);
                    line!(self.console, Plain, "  {name:<12} {cycles}.{part:02} ({} calls)", batched.calls);
                    if let Some(counted) = &batched.counters {
                        self.show_counters(counted);
                    }
                    batches.push((id, batched));
                }
                Err(ExecuteError::NoRun) => {}
                Err(error) => self.show_error(name.as_str(), id, &error),
            }
        }
        batches
    }

    /// Shows the processor's event counts.
    fn show_counters(&mut self, counted: &Counters) {
        let Counters { core_cycles, instructions, branch_misses, cache_misses } = *counted;
        let [cycles, instructions, branches, caches] = [core_cycles, instructions, branch_misses, cache_misses]
            .map(|hundredths| format!("{}.{:02}", hundredths / 100, hundredths % 100));
        line!(
            self.console,
            Plain,
            "    {instructions} instructions, {cycles} cycles of the core, {branches} branches and {caches} cache lines missed"
        );
    }

    /// Reads the clock if no module was called before.
    fn note_first_call(&mut self) {
        self.first_call.get_or_insert_with(|| self.manager.platform().clock());
    }

    /// Shows the reason for which a call gave no result, with the diagnosis if it faulted.
    fn show_error(&mut self, source: &str, id: ModuleId, error: &ExecuteError) {
        self.console.show(Style::Error, format_args!("  [ERROR]"));
        line!(self.console, Plain, " {source}: {error}");
        let (ExecuteError::Faulted(fault), Some(profile)) = (error, self.manager.stats(id)) else { return };
        let diagnosis = self.manager.take_diagnosis(id);
        show_fault(self.console, FaultText::new(&profile, fault, diagnosis.as_ref()));
        self.diagnoses.extend(diagnosis.map(|diagnosis| (id, diagnosis)));
    }

    /// Shows and records the result of a test.
    fn conclude(&mut self, module: &str, expected: Option<i32>, result: Option<i32>, passed: bool, praise: &str) {
        if passed {
            self.console.show(Style::Good, format_args!("  [OK]"));
            line!(self.console, Plain, " {praise}");
        } else {
            self.console.show(Style::Error, format_args!("  [FAIL]"));
            line!(self.console, Plain, " Test failed!");
        }
        line!(self.console);
        self.tests.push(Test { module: module.to_string(), expected, result, passed, output_checksum: None });
    }
}

/// Returns whether a blob's module has a `run`.
pub(crate) fn has_run(blob: &[u8]) -> bool {
    blob.first_chunk().is_some_and(|header| Header::from_bytes(header).flags & FLAG_NO_RUN == 0)
}

/// Returns the expected result in a blob's record.
fn expected_result(blob: &[u8]) -> Option<i32> {
    record(blob, EXPECTED_RESULT).try_into().ok().map(i32::from_le_bytes)
}

/// Returns whether a blob's module declares events.
fn has_events(blob: &[u8]) -> bool {
    !record(blob, EVENTS).is_empty()
}

/// Returns the first record of a kind in a blob; empty if there is none.
fn record(blob: &[u8], kind: u32) -> &[u8] {
    RawModule::parse(blob).map_or(&[], |raw| first_record(raw.records, kind))
}
