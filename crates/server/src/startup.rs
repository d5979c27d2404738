//! Loads during startup. A module whose dependencies are missing waits until they are loaded.

use alloc::borrow::Cow;
use alloc::string::String;

use bareflow_loader::{LoadError, Name, Platform, VersionRange};
use bareflow_suite::console::{explain_unused, unused_parameters};
use bareflow_suite::dependency_cycles::DependencyGraph;
use bareflow_suite::fallible::{ErrorText, NO_MEMORY};
use bareflow_suite::{error_text, text};

use crate::push::check_module_count;
use crate::requested_options::Wanted;
use crate::{Server, ServerEnvironment};

/// The maximum number of blobs that wait for their dependencies.
const MAX_PENDING: usize = 256;

/// A blob that waits for a dependency during startup.
pub(crate) struct PendingLoad<'blobs> {
    label: String,
    blob: Cow<'blobs, [u8]>,
    /// Whether it may replace another module: files on the disk override blobs in the kernel's image.
    replaces: bool,
    /// The missing dependency: a name and a range of versions.
    misses: Option<(Name, VersionRange)>,
}

impl<'blobs, P: Platform, S: ServerEnvironment> Server<'blobs, P, S> {
    /// Loads a blob during startup, and reports the result on the console.
    pub fn load_at_startup(&self, label: &str, blob: &'blobs [u8]) {
        self.start_load(label, Cow::Borrowed(blob), false);
    }

    /// Loads a file from the disk during startup, and reports the result on the console.
    pub fn load_file(&self, path: &str) {
        match self.environment.read(path) {
            Ok(blob) => self.start_load(path, Cow::Owned(blob), true),
            Err(error) => self.log_refusal(path, &error),
        }
    }

    /// Ends startup: refuses the blobs whose dependencies are still missing, and parameters of modules that are not there.
    pub fn refuse_pending(&self) {
        let pending = self.pending.take();
        // Without memory for the search for cycles, only the missing dependency is reported.
        let graph = DependencyGraph::of(pending.iter().map(|one| &*one.blob)).ok();
        for (index, one) in pending.iter().enumerate() {
            let cycle = graph.as_ref().and_then(|graph| graph.cycle(index).ok().flatten());
            match (cycle, one.misses) {
                (Some(cycle), _) => self.log_refusal(&one.label, &cycle),
                (None, Some((name, versions))) => {
                    self.log_refusal(&one.label, &LoadError::MissingDependency { name, versions });
                }
                (None, None) => {}
            }
        }
        for unused in unused_parameters(&self.manager, self.parameters) {
            self.log_refusal(unused.line, &explain_unused(&unused));
        }
    }

    fn start_load(&self, label: &str, blob: Cow<'blobs, [u8]>, replaces: bool) {
        let Ok(text) = text!("{label}") else { return self.log_refusal(label, &NO_MEMORY) };
        if !self.try_load(PendingLoad { label: text, blob, replaces, misses: None }) {
            return;
        }
        // A loaded module may satisfy blobs that wait, and these may satisfy others. A blob whose dependency is still
        // missing is not retried, since that would read all of it.
        loop {
            let found = self.pending.borrow().iter().position(|one| self.is_met(one));
            let Some(index) = found else { return };
            let one = self.pending.borrow_mut().remove(index);
            self.try_load(one);
        }
    }

    /// Returns whether the missing dependency of a blob is loaded now.
    fn is_met(&self, one: &PendingLoad<'_>) -> bool {
        one.misses.is_some_and(|(name, versions)| {
            self.manager.find_version(name.as_str(), |version| versions.admits(version)).is_some()
        })
    }

    /// Loads a blob, or makes it wait for a missing dependency. Returns whether the module is loaded now.
    fn try_load(&self, mut one: PendingLoad<'blobs>) -> bool {
        if let Err(error) = check_module_count(&self.manager) {
            self.log_refusal(&one.label, &error);
            return false;
        }
        let options = if one.replaces { self.options(&one.blob, &Wanted::default()) } else { self.defaults };
        let done = if one.replaces {
            // The replaced module is reported on the console; no client waits for an answer.
            self.manager.replace(&one.blob, options.with_parameters(&self.parameters)).map(|reloaded| {
                self.log_replaced(&reloaded);
                reloaded.id
            })
        } else {
            self.manager.load_with(&one.blob, options.with_parameters(&self.parameters))
        };
        match done {
            Ok(id) => {
                self.store.borrow_mut().keep(id, one.blob);
                self.log_load(id);
                return true;
            }
            Err(LoadError::MissingDependency { name, versions }) => {
                one.misses = Some((name, versions));
                self.wait(one, name, versions);
            }
            Err(error) => self.log_refusal(&one.label, &self.explain_load(&one.blob, &options, &error)),
        }
        false
    }

    /// Keeps a blob until its missing dependency is loaded.
    fn wait(&self, one: PendingLoad<'blobs>, name: Name, versions: VersionRange) {
        let mut pending = self.pending.borrow_mut();
        let refusal: ErrorText = if pending.len() >= MAX_PENDING {
            error_text!(
                "it needs {name} {versions}, and {MAX_PENDING} files wait for others already; load what is needed \
                 first: an archive is loaded in its order"
            )
        } else if pending.try_reserve(1).is_err() {
            NO_MEMORY.into()
        } else {
            return pending.push(one);
        };
        self.log_refusal(&one.label, &refusal);
    }
}
