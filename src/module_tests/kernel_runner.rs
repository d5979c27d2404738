//! Runs examples in a kernel.
//!
//! The kernel is booted once for all examples, finds the blobs on its disk, and is controlled over its channel.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bareflow_disk::MODULES;
use bareflow_loader::Domain;
use bareflow_protocol::control::{Called, LoadOverrides, Refusal};
use bareflow_protocol::options::Task;
use bareflow_protocol::{KernelOptions, Request, Response};
use bareflow_suite::module_limits::ModuleLimits;
use bareflow_suite::portable::is_wasm;
use tempfile::NamedTempFile;

use super::{Candidate, ExampleOutcome, Runner, Settings};
use crate::client::{Client, unexpected};
use crate::disk::create::{Content, temporary};
use crate::needed::{lines_for, name_of};
use crate::qemu::{Machine, Running};
use crate::{embedded, engines};

/// The time without a sign of the kernel after which it is given up: more than a call may take.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The runner for a kernel in QEMU.
pub(super) struct KernelRunner<'all> {
    client: Client,
    /// The modules that were loaded in addition to the kernel's own, in that order.
    loaded: Vec<String>,
    settings: &'all Settings,
    /// Dropping these ends the machine and deletes its disk.
    _machine: Running,
    _disk: NamedTempFile,
}

impl<'all> KernelRunner<'all> {
    /// Boots a kernel that has all files on its disk.
    pub(super) fn boot(candidates: &[Candidate], settings: &'all Settings) -> Result<KernelRunner<'all>> {
        let machine = Machine::new(embedded::kernel()?);
        let engines = (0..)
            .zip(&settings.engines)
            .map(|(number, (_, bytes))| Content { name: engine_file(number), bytes: bytes.clone() });
        let disk = temporary(&candidates.iter().flat_map(files).chain(engines).collect::<Vec<_>>())?;
        let usual = machine.memory_megabytes;
        // One tick is one instruction, so time limits of calls do not depend on the load of this machine.
        let machine = Machine {
            options: KernelOptions { task: Task::Serve, portable: settings.portable, ..KernelOptions::default() },
            virtio_channel: true,
            icount: true,
            memory_megabytes: if settings.engines.is_empty() { usual } else { engines::MEMORY_MEGABYTES },
            data_disk: Some(disk.path().to_owned()),
            ..machine
        };
        let machine = machine.start()?;
        let connection = machine.channel.try_clone()?;
        let client = Client::greet(Box::new(connection), Path::new("QEMU"), TIMEOUT)?;
        let mut kernel = KernelRunner { client, loaded: Vec::new(), settings, _machine: machine, _disk: disk };
        kernel.unload_all()?;
        for (number, (label, _)) in (0..).zip(&settings.engines) {
            let path = format!("/{MODULES}/{}", engine_file(number));
            let loaded = kernel.ask(Request::Load { path: &path, overrides: LoadOverrides::default() })?;
            loaded.map_err(|refusal| anyhow!("the engine {label} is refused: {refusal}"))?;
        }
        Ok(kernel)
    }

    /// Unloads the modules that the kernel loaded by itself, also from its disk, so that each test has all of the
    /// memory.
    fn unload_all(&mut self) -> Result<()> {
        loop {
            let Response::Modules(found) = self.client.ask(Request::Ps)? else {
                bail!("the kernel did not list its modules");
            };
            let mut done = 0;
            for module in &found {
                // A module that others depend on is unloaded after them.
                done += usize::from(self.ask(Request::Unload { module: &module.name })?.is_ok());
            }
            if done == found.len() {
                return Ok(());
            }
            ensure!(done > 0, "the kernel unloads none of the modules that it loaded by itself");
        }
    }

    /// Sends a request; a refusal by the kernel is returned as the inner error.
    fn ask(&mut self, request: Request<'_>) -> Result<Result<Response, String>> {
        match self.client.ask(request) {
            Ok(answer) => Ok(Ok(answer)),
            Err(problem) => Ok(Err(problem.downcast::<Refusal>()?.error.into_owned())),
        }
    }

    /// Loads the module `module` from a file.
    fn load_file(&mut self, name: &str, module: &str, domain: Domain) -> Result<Result<(), String>> {
        let (domain, on_fault) = (Some(domain.name()), Some("restart"));
        let lines = lines_for(&self.settings.lines, module, module);
        let budget = self
            .settings
            .budgets
            .as_ref()
            .map(|budgets| ModuleLimits::new(&budgets.of_modules).of(module, budgets.of_all));
        let overrides = LoadOverrides { domain, budget, on_fault, parameters: &lines, tier: None };
        match self.ask(Request::Load { path: &format!("/{MODULES}/{name}"), overrides })? {
            Ok(Response::Loaded(loaded)) => self.loaded.push(loaded.name),
            Ok(other) => return Err(unexpected(&other)),
            Err(refusal) => return Ok(Err(refusal)),
        }
        Ok(Ok(()))
    }
}

impl Runner for KernelRunner<'_> {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn load(&mut self, candidate: &Candidate, domain: Domain) -> Result<Result<(), String>> {
        while let Some(module) = self.loaded.pop() {
            match self.ask(Request::Unload { module: &module })? {
                Ok(Response::Unloaded(_)) => {}
                Ok(other) => return Err(unexpected(&other)),
                Err(refusal) => return Ok(Err(format!("what was tested before it can't be unloaded: {refusal}"))),
            }
        }
        for (number, blob) in candidate.needed.iter().enumerate() {
            if let Err(refusal) = self.load_file(&needed_file(candidate, number), &name_of(blob), domain)? {
                return Ok(Err(format!("a module that it needs is refused: {refusal}")));
            }
        }
        self.load_file(&own_file(candidate), &candidate.name, domain)
    }

    fn call(&mut self, function: Option<&str>, input: &[u8]) -> Result<Result<ExampleOutcome, String>> {
        let mut module = self.loaded.last().cloned().context("no module is loaded")?;
        if let Some(function) = function {
            module = format!("{module}.{function}");
        }
        match self.ask(Request::Call { module: &module, input, repeat: 1 })? {
            Ok(Response::Called(Called { result, output, total_cycles, .. })) => {
                Ok(Ok(ExampleOutcome { result, output, instructions: Some(total_cycles) }))
            }
            Ok(other) => Err(unexpected(&other)),
            Err(refusal) => Ok(Err(refusal)),
        }
    }
}

/// Returns the files of a module: first those that it needs, then its own.
fn files(candidate: &Candidate) -> impl Iterator<Item = Content> {
    let needed = candidate.needed.iter().enumerate();
    let needed = needed.map(|(number, blob)| Content { name: needed_file(candidate, number), bytes: blob.clone() });
    needed.chain([Content { name: own_file(candidate), bytes: candidate.blob.clone() }])
}

fn own_file(candidate: &Candidate) -> String {
    format!("{}.{}", candidate.name, ending(&candidate.blob))
}

fn needed_file(candidate: &Candidate, number: usize) -> String {
    let blob = candidate.needed.get(number).map_or(&[][..], Vec::as_slice);
    format!("{}.{number}.{}", candidate.name, ending(blob))
}

fn engine_file(number: usize) -> String {
    format!("engine.{number}.mod")
}

/// Returns the ending of a file's name. That of a portable module keeps the kernel from compiling it at its start.
fn ending(blob: &[u8]) -> &'static str {
    if is_wasm(blob) { "portable" } else { "mod" }
}
