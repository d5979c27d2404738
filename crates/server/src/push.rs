//! Loads of blobs that clients send or that are on the disk. Loads during startup are in [`startup`](crate::startup).
//!
//! The texts of the answer are made before the load, so that a load that was carried out is never answered by a refusal
//! for lack of memory.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use allocator_api2::boxed::Box;
use bareflow_loader::state::{Layouts, schema_of};
use bareflow_loader::{
    Assignment, Domain, LoadError, LoadOptions, ModuleId, ModuleManager, Name, Occurrence, Platform, Printable,
    RawModule, Reloaded, StateTransfer, Version,
};
use bareflow_protocol::Response;
use bareflow_protocol::comparison::{Gate, Verdict};
use bareflow_protocol::control::{LoadCycles, Loaded, Refusal, RefusalCode, Replaced};
use bareflow_suite::compile_refusal::CompileRefusal;
use bareflow_suite::console::Style;
use bareflow_suite::fallible::{ErrorText, NoMemory};
use bareflow_suite::module_file::ModuleFile;
use bareflow_suite::{error_text, line, text};

use crate::receipts::{self, ReceiptTexts};
use crate::requested_options::{DeferredPush, Wanted};
use crate::task::{Handled, Next, Task};
use crate::time_slice::{Poll, UNLOAD_TIMEOUT_MS};
use crate::{MAX_MODULES, Server, ServerEnvironment, room};

/// The texts of the answer to a load.
pub(crate) struct LoadTexts {
    name: String,
    version: String,
    /// The texts of the module that it replaces.
    old: Option<(String, ReceiptTexts)>,
}

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// Loads a file with the requested options.
    pub(crate) fn push(&self, bytes: Vec<u8>, wanted: Wanted, gate: Option<&Gate<'_>>) -> Handled<P> {
        self.push_file(ModuleFile::new(Cow::Owned(bytes)), wanted, gate)
    }

    fn push_file(&self, mut file: ModuleFile<'static, P>, wanted: Wanted, gate: Option<&Gate<'_>>) -> Handled<P> {
        if wanted.beside && file.is_portable() {
            return Err("a portable module is not loaded beside another one; push it without `--beside`".into());
        }
        if wanted.beside && gate.is_some() {
            return Err("a gate is for a module that takes another one's place; leave out one of the two".into());
        }
        check_module_count(&self.manager)?;
        match self.compile(&mut file, &wanted) {
            Ok(()) => {}
            // A gate lives no longer than the message that brought it.
            Err(CompileRefusal::Busy(_)) if gate.is_none() => {
                let deferred = DeferredPush { file, wanted, for_engine: true };
                return Ok(Next::Task(Task::Push(Box::try_new(deferred).map_err(|_| NoMemory)?)));
            }
            Err(refusal) => return Err(self.refuse_compile(&wanted.label, refusal)),
        }
        let options = self.options(file.blob(), &wanted);
        let refused = |error: LoadError| {
            let text = self.explain_load(file.blob(), &options, &error);
            self.log_refusal(&wanted.label, &text);
            let text = match self.layouts(file.blob(), &error) {
                Some(layouts) => error_text!("{text}{layouts}"),
                None => text,
            };
            let code = if error.is_for_memory() { RefusalCode::NoMemory } else { RefusalCode::LoadFailed };
            Refusal::new(code, text)
        };
        let parameters = &*wanted.parameters;
        check_parameters(file.blob(), parameters)?;
        if let Some(gate) = gate {
            // Without an old module to compare with, there is nothing to prove.
            if let Some(old) = name_of(file.blob()).and_then(|name| self.manager.find(name.as_str())) {
                return Ok(Next::Task(Task::Compare(self.open_gate(old, file, &options, parameters, gate)?)));
            }
        }
        let texts = self.load_texts(file.blob())?;
        self.store.borrow_mut().reserve()?;
        if wanted.beside {
            let start = self.manager.platform().clock_fenced();
            let settings = options.with_parameters(&parameters);
            let id = self.unborrowed().load_versioned(file.blob(), settings).map_err(refused)?;
            let prepare = self.manager.platform().clock_fenced().saturating_sub(start);
            let cycles = LoadCycles { prepare, switch: 0 };
            return Ok(self.loaded(id, file, texts, cycles, StateTransfer::Nothing, None).into());
        }
        let fallback = self.fallback(name_of(file.blob()).as_ref().map_or("", Name::as_str), &options)?;
        // Memory for the job that waits if the old module is busy.
        let waiting = Box::try_new_uninit().map_err(|_| NoMemory)?;
        match file.replace(self.unborrowed(), options.with_parameters(&parameters)) {
            Ok(reloaded) => {
                self.set_fallback(reloaded.id, fallback);
                Ok(self.replaced(&reloaded, file, texts, None).into())
            }
            Err(LoadError::StateBusy) => {
                Ok(Next::Task(Task::Push(Box::write(waiting, DeferredPush { file, wanted, for_engine: false }))))
            }
            Err(error) => Err(refused(error)),
        }
    }

    /// Retries a load that waits for an engine, or for a call of the old module to end.
    pub(crate) fn push_again(&self, waiting: &mut DeferredPush<P>, waited: u64) -> Poll {
        let DeferredPush { file, wanted, for_engine } = core::mem::take(waiting);
        match self.push_file(file, wanted, None) {
            Ok(Next::Response(answer)) => Poll::Ready(answer),
            // A compilation ends by the engine's own budget, and the wait for the old module begins after it.
            Ok(Next::Task(Task::Push(mut again))) if again.for_engine || for_engine || waited < UNLOAD_TIMEOUT_MS => {
                *waiting = core::mem::take(&mut *again);
                Poll::Pending(0, 1)
            }
            Ok(Next::Task(_)) => {
                Poll::Ready(Response::Refused(error_text!("{} (waited {waited} ms)", LoadError::StateBusy).into()))
            }
            Err(refusal) => Poll::Ready(Response::Refused(refusal)),
        }
    }

    /// Compiles a portable module.
    fn compile(&self, file: &mut ModuleFile<'_, P>, wanted: &Wanted) -> Result<(), CompileRefusal> {
        let limits = wanted.limits.map(|limits| limits.within(&self.defaults.load.limits));
        let compile = || file.compile(self.unborrowed(), &wanted.label, &self.defaults, wanted.tier, limits);
        self.compiling(compile)?;
        // What was compiled is kept, too.
        if file.is_portable() {
            room().map_err(|error| CompileRefusal::NoMemory(error.into()))?;
        }
        Ok(())
    }

    /// Returns the refusal of a push that was not compiled, and shows it on the console.
    fn refuse_compile(&self, label: &str, refusal: CompileRefusal) -> Refusal {
        let code = refusal.code();
        let text = self.explain_compile(refusal);
        self.log_refusal(label, &text);
        Refusal::new(code, text)
    }

    /// Lets `compile` call an engine, if there are any.
    fn compiling<T>(&self, compile: impl FnOnce() -> T) -> T {
        #[cfg(feature = "portable")]
        return self.ascents.compiling(compile);
        #[cfg(not(feature = "portable"))]
        compile()
    }

    /// Returns the reason for which a file was not compiled, and keeps the diagnosis of a fault.
    pub(crate) fn explain_compile(&self, refusal: CompileRefusal) -> ErrorText {
        refusal.explain(&self.manager, &self.environment, |engine, diagnosis| {
            self.store.borrow_mut().note_fault(engine, diagnosis);
        })
    }

    /// Returns both states' layouts if the new module can't take over the old one's state.
    fn layouts(&self, blob: &[u8], error: &LoadError) -> Option<ErrorText> {
        if !matches!(error, LoadError::StateChanged { .. } | LoadError::StateDropped { .. }) {
            return None;
        }
        let store = self.store.borrow();
        let old = name_of(blob).and_then(|name| store.get(self.manager.find(name.as_str())?));
        let old = old.and_then(|old| RawModule::parse(old.file.blob()).ok());
        let new = RawModule::parse(blob).ok();
        let layouts = Layouts { old: old.as_ref().and_then(schema_of), new: new.as_ref().and_then(schema_of) };
        Some(error_text!("{layouts}"))
    }

    /// Makes the texts of the answer to a load or promotion of a blob.
    pub(crate) fn load_texts(&self, blob: &[u8]) -> Result<LoadTexts, NoMemory> {
        let header = RawModule::parse(blob).map(|raw| raw.header()).unwrap_or_default();
        let version = Version { major: header.version_major, minor: header.version_minor, patch: header.version_patch };
        let name = Name::from_field(header.name);
        let name = name.as_ref().map_or("", Name::as_str);
        let old = self.manager.find(name).and_then(|old| self.manager.stats(old));
        let old = match old {
            Some(old) => Some((text!("{}", old.version)?, ReceiptTexts::new(&old.name, &old.version)?)),
            None => None,
        };
        Ok(LoadTexts { name: text!("{name}")?, version: text!("{version}")?, old })
    }

    /// Answers a load that may have replaced a module.
    pub(crate) fn replaced(
        &self,
        reloaded: &Reloaded,
        file: ModuleFile<'static, P>,
        mut texts: LoadTexts,
        verdict: Option<Verdict>,
    ) -> Response {
        let replaced = reloaded.replaced.zip(texts.old.take()).map(|(old, (version, texts))| Replaced {
            version,
            generation: old.generation,
            receipt: old.receipt.as_ref().map(|receipt| receipts::receipt(receipt, texts)),
        });
        let cycles = LoadCycles { prepare: reloaded.prepare_cycles, switch: reloaded.switch_cycles };
        let answer = self.loaded(reloaded.id, file, texts, cycles, reloaded.state, verdict);
        self.log_replaced(reloaded);
        match answer {
            Response::Loaded(loaded) => Response::Loaded(Loaded { replaced, ..loaded }),
            other => other,
        }
    }

    /// Reports a replaced module on the console, and discards its data.
    pub(crate) fn log_replaced(&self, reloaded: &Reloaded) {
        if let (Some(old), Some((name, _))) = (reloaded.replaced, self.manager.load_of(reloaded.id)) {
            let (version, generation) = (old.version.parts(), old.generation);
            self.manager.platform().trace(&name, Occurrence::Replaced { version, generation });
        }
        if let Some(receipt) = reloaded.replaced.and_then(|old| old.receipt) {
            self.log_unload(&receipt);
        }
        self.sweep();
    }

    fn loaded(
        &self,
        id: ModuleId,
        file: ModuleFile<'static, P>,
        texts: LoadTexts,
        cycles: LoadCycles,
        state: StateTransfer,
        verdict: Option<Verdict>,
    ) -> Response {
        let Some(profile) = self.manager.stats(id) else {
            return Response::Refused("it is gone already; push it again".into());
        };
        self.store.borrow_mut().keep(id, file);
        self.log_load(id);
        Response::Loaded(Loaded {
            name: texts.name,
            version: texts.version,
            generation: profile.generation,
            active: profile.active,
            replaced: None,
            state: state.name().into(),
            cycles,
            verdict,
        })
    }

    /// Returns the options of a load.
    ///
    /// These are the requested ones, or else those of the module of its name, or else the defaults.
    pub(crate) fn options(&self, blob: &[u8], wanted: &Wanted) -> LoadOptions {
        let old = name_of(blob).and_then(|name| self.manager.options(self.manager.find(name.as_str())?));
        let defaults = self.defaults.options(blob);
        let options = old.unwrap_or(defaults);
        let limits = wanted.limits.map(|limits| limits.within(&defaults.limits));
        let (domain, of_server) = (wanted.domain.unwrap_or(options.domain), self.defaults.load.domain);
        LoadOptions {
            // The operator may have put an engine into the kernel domain. A client's does not follow it there.
            domain: if domain == Domain::Kernel { of_server } else { domain },
            limits: limits.unwrap_or(options.limits),
            on_fault: wanted.on_fault.unwrap_or(options.on_fault),
            ..options
        }
    }

    /// Writes a module's blob to the disk.
    pub(crate) fn save(&self, selector: &str) -> Handled<P> {
        let id = self.select(selector)?;
        let (name, _) = self.manager.load_of(id).ok_or("it is gone; see `ps`")?;
        let store = self.store.borrow();
        let kept = store.get(id).ok_or_else(|| error_text!("{selector}: its blob was not kept; push it again"))?;
        if kept.file.is_portable() {
            let error =
                "is portable, and only native modules are saved; put the .wasm file on the disk (`disk create`)";
            return Err(error_text!("{selector}: {error}").into());
        }
        let path = self.environment.save(name.as_str(), kept.file.blob())?;
        Ok(Response::Saved { path, bytes: kept.file.blob().len() as u64 }.into())
    }

    pub(crate) fn log_load(&self, id: ModuleId) {
        let Some(profile) = self.manager.stats(id) else { return };
        let (name, version, generation) = (profile.name, profile.version, profile.generation);
        self.environment.show(Style::Good, format_args!("[OK]"));
        line!(&self.environment, Plain, " Module loaded: {name} {version} (load {generation})");
        #[cfg(feature = "portable")]
        bareflow_suite::portable::note_untrusted(&self.manager, &self.environment, id);
        self.manager.platform().trace(&name, Occurrence::Loaded { version: version.parts(), generation });
    }

    pub(crate) fn log_refusal(&self, label: &str, error: &dyn core::fmt::Display) {
        self.environment.show(Style::Error, format_args!("[ERROR]"));
        line!(&self.environment, Plain, " {}: {error}", Printable(label.as_bytes()));
    }
}

/// Checks that one more module may be loaded.
pub(crate) fn check_module_count<P: Platform>(manager: &ModuleManager<P>) -> Result<(), ErrorText> {
    if manager.ids().count() >= MAX_MODULES {
        return Err(error_text!("{MAX_MODULES} modules are loaded, and no more may be; unload some first"));
    }
    Ok(())
}

/// Checks that all lines are about the module in `blob`, as far as it has a name.
fn check_parameters(blob: &[u8], parameters: &str) -> Result<(), ErrorText> {
    let Some(name) = name_of(blob) else { return Ok(()) };
    match Assignment::all(parameters).flatten().find(|line| line.module != name.as_str()) {
        Some(Assignment { line, binds, .. }) => {
            let kind = if binds { "IMPORT" } else { "PARAMETER" };
            Err(error_text!("{line}: the blob is of {name}, expected {name}.{kind}"))
        }
        None => Ok(()),
    }
}

/// Returns the name in a blob's header, or `None` if it is invalid.
fn name_of(blob: &[u8]) -> Option<Name> {
    Name::from_field(RawModule::parse(blob).ok()?.header().name)
}
