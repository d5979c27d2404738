//! Loads during startup. A module that misses another one waits until that is loaded.

use alloc::borrow::Cow;
use alloc::string::String;

use bareflow_loader::{ImportError, LoadError, ModuleId, Platform};
use bareflow_suite::compile_refusal::CompileRefusal;
use bareflow_suite::console::{explain_unused, unused_parameters};
use bareflow_suite::dependency_cycles::DependencyGraph;
use bareflow_suite::fallible::{ErrorText, NO_MEMORY};
use bareflow_suite::module_file::ModuleFile;
use bareflow_suite::{error_text, text};

use crate::push::check_module_count;
use crate::requested_options::Wanted;
use crate::{Server, ServerEnvironment};

/// The maximum number of blobs that wait for others.
const MAX_PENDING: usize = 256;

/// A blob that waits for another one during startup.
pub(crate) struct PendingLoad<'blobs, P: Platform> {
    label: String,
    file: ModuleFile<'blobs, P>,
    /// Whether it may replace another module: files on the disk override blobs in the kernel's image.
    replaces: bool,
    /// The reason for which it was not loaded yet.
    misses: Option<Missing>,
    /// The module that its import asks for by name, which was there in another version.
    unfit: Option<ModuleId>,
}

/// A thing that a file misses, and that may still come.
enum Missing {
    /// Another module.
    Module(LoadError),
    /// An engine, for which this is the reason.
    Engine(ErrorText),
}

impl<'blobs, P: Platform, S: ServerEnvironment> Server<'blobs, P, S> {
    /// Loads a blob during startup, and reports the result on the console.
    pub fn load_at_startup(&self, label: &str, blob: &'blobs [u8]) {
        self.start_load(label, ModuleFile::new(Cow::Borrowed(blob)), false);
    }

    /// Loads a file from the disk during startup, and reports the result on the console.
    pub fn load_file(&self, path: &str) {
        match self.environment.read(path) {
            Ok(blob) => self.start_load(path, ModuleFile::new(Cow::Owned(blob)), true),
            Err(error) => self.log_refusal(path, &error),
        }
    }

    /// Ends startup: refuses the blobs that still miss another one, and parameters of modules that are not there.
    pub fn refuse_pending(&self) {
        let pending = self.pending.take();
        // Without memory for the search for cycles, only the missing dependency is reported.
        let graph = DependencyGraph::of(pending.iter().map(|one| one.file.blob())).ok();
        for (index, one) in pending.iter().enumerate() {
            let cycle = graph.as_ref().and_then(|graph| graph.cycle(index).ok().flatten());
            match (cycle, &one.misses) {
                (Some(cycle), _) => self.log_refusal(&one.label, &cycle),
                (None, Some(Missing::Module(error))) => {
                    let options = self.defaults.options(one.file.blob());
                    self.log_refusal(&one.label, &self.explain_load(one.file.blob(), &options, error));
                }
                (None, Some(Missing::Engine(reason))) => self.log_refusal(&one.label, reason),
                (None, None) => {}
            }
        }
        for unused in unused_parameters(&self.manager, self.parameters) {
            self.log_refusal(unused.line, &explain_unused(&unused));
        }
    }

    fn start_load(&self, label: &str, file: ModuleFile<'blobs, P>, replaces: bool) {
        let Ok(text) = text!("{label}") else { return self.log_refusal(label, &NO_MEMORY) };
        if !self.try_load(PendingLoad { label: text, file, replaces, misses: None, unfit: None }) {
            return;
        }
        // A loaded module may satisfy blobs that wait, and these may satisfy others. A blob that misses the same as before
        // is not retried, since that would read all of it.
        let mut tries = self.pending.borrow().len();
        while tries > 0 {
            let found = self.pending.borrow().iter().position(|one| self.is_met(one));
            let Some(index) = found else { return };
            let one = self.pending.borrow_mut().remove(index);
            tries = if self.try_load(one) { self.pending.borrow().len() } else { tries - 1 };
        }
    }

    /// Returns whether what a blob misses is loaded now.
    fn is_met(&self, one: &PendingLoad<'_, P>) -> bool {
        let error = match &one.misses {
            Some(Missing::Module(error)) => error,
            Some(Missing::Engine(_)) => return self.defaults.has_engine(&self.manager),
            None => return false,
        };
        match error {
            LoadError::MissingDependency { name, versions } => {
                self.manager.find_version(name.as_str(), |version| versions.admits(version)).is_some()
            }
            LoadError::Import { error: ImportError::NotLoaded { provider }, .. } => {
                self.manager.find(provider.as_str()).is_some_and(|id| one.unfit != Some(id))
            }
            LoadError::Import { import, .. } => self.manager.is_exported(one.file.blob(), import),
            _ => false,
        }
    }

    /// Loads a blob, or makes it wait for another one. Returns whether the module is loaded now.
    fn try_load(&self, mut one: PendingLoad<'blobs, P>) -> bool {
        if let Err(error) = check_module_count(&self.manager) {
            self.log_refusal(&one.label, &error);
            return false;
        }
        match one.file.compile(self.unborrowed(), &one.label, &self.defaults, None, None) {
            Ok(()) => {}
            Err(CompileRefusal::NoEngine(reason)) => {
                one.misses = Some(Missing::Engine(reason));
                self.wait(one);
                return false;
            }
            Err(refusal) => {
                self.log_refusal(&one.label, &self.explain_compile(refusal));
                return false;
            }
        }
        let blob = one.file.blob();
        let options = if one.replaces { self.options(blob, &Wanted::default()) } else { self.defaults.options(blob) };
        let settings = options.with_parameters(&self.parameters);
        let done = if one.replaces {
            // The replaced module is reported on the console; no client waits for an answer.
            one.file.replace(self.unborrowed(), settings).map(|reloaded| {
                self.log_replaced(&reloaded);
                reloaded.id
            })
        } else {
            one.file.load(self.unborrowed(), settings)
        };
        match done {
            Ok(id) => {
                self.store.borrow_mut().keep(id, one.file);
                self.log_load(id);
                return true;
            }
            Err(error) if error.is_for_another_module() => {
                if let LoadError::Import { error: ImportError::NotLoaded { provider }, .. } = error {
                    one.unfit = self.manager.find(provider.as_str());
                }
                one.misses = Some(Missing::Module(error));
                self.wait(one);
            }
            Err(error) => self.log_refusal(&one.label, &self.explain_load(blob, &options, &error)),
        }
        false
    }

    /// Keeps a blob until what it misses is loaded.
    fn wait(&self, one: PendingLoad<'blobs, P>) {
        let mut pending = self.pending.borrow_mut();
        let refusal: ErrorText = if pending.len() >= MAX_PENDING {
            let needs = match &one.misses {
                Some(Missing::Module(LoadError::MissingDependency { name, versions })) => {
                    error_text!("it needs {name} {versions}")
                }
                Some(Missing::Module(LoadError::Import { import, .. })) => {
                    error_text!("its import {import} has no provider yet")
                }
                Some(Missing::Engine(_)) => "it needs an engine".into(),
                _ => "it needs another module".into(),
            };
            error_text!(
                "{needs}, and {MAX_PENDING} files wait for others already; load what is needed first: an archive is \
                 loaded in its order"
            )
        } else if pending.try_reserve(1).is_err() {
            NO_MEMORY.into()
        } else {
            return pending.push(one);
        };
        self.log_refusal(&one.label, &refusal);
    }
}
