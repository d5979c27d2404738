//! Restarts that are due, and reports of them on the console.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use bareflow_loader::{Happening, LoadOptions, ModuleId, Notice, Platform, RestartError};
use bareflow_protocol::Response;
use bareflow_protocol::control::{Refusal, RefusalCode};
use bareflow_suite::console::Style;
use bareflow_suite::fallible::{self, NoMemory};
use bareflow_suite::module_file::ModuleFile;
use bareflow_suite::{error_text, line, text};

use crate::time_slice::{Poll, UNLOAD_TIMEOUT_MS};
use crate::{Server, ServerEnvironment};

/// The version that a module may return to.
pub(crate) struct Fallback {
    blob: Vec<u8>,
    options: LoadOptions,
    lines: String,
}

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// Restarts a module whose delay has passed, and reports what happened to supervised modules.
    pub(crate) fn supervise(&self) {
        self.unborrowed().restart_due();
        while let Some(notice) = self.manager.take_notice() {
            match notice.happening {
                Happening::Restarted => self.environment.show(Style::Good, format_args!("[OK]")),
                Happening::FellBack { .. } => {
                    self.keep_blob(&notice);
                    self.environment.show(Style::Warning, format_args!("[WARN]"));
                }
                _ => self.environment.show(Style::Warning, format_args!("[WARN]")),
            }
            line!(&self.environment, Plain, " {notice}");
        }
        self.log_reaped();
    }

    /// Restarts a module, unless a call of it is running.
    pub(crate) fn try_restart(&self, id: ModuleId, waited: u64) -> Poll {
        #[cfg(feature = "portable")]
        if self.ascents.has_taken(id) && waited < UNLOAD_TIMEOUT_MS {
            return Poll::Pending(0, 1);
        }
        // A copy, since the store may change during the module's `init`.
        let is_kept = self.manager.with_blob(id, |_| ()).is_some();
        let store = self.store.borrow();
        let blob = store.get(id).filter(|_| !is_kept).map(|stored| fallible::copy(stored.file.blob())).transpose();
        drop(store);
        let blob = match blob {
            Ok(blob) => blob,
            Err(error) => return Poll::Ready(Response::Refused(error.into())),
        };
        match self.unborrowed().restart(id, blob.as_deref()) {
            Ok(()) => Poll::Ready(Response::Done),
            Err(RestartError::Busy) if waited < UNLOAD_TIMEOUT_MS => Poll::Pending(0, 1),
            Err(error) => {
                let code = match error {
                    RestartError::Load(error) if error.is_for_memory() => RefusalCode::NoMemory,
                    RestartError::Load(_) => RefusalCode::LoadFailed,
                    _ => RefusalCode::Refused,
                };
                Poll::Ready(Response::Refused(Refusal::new(code, error_text!("{error}"))))
            }
        }
    }

    /// Returns the version that a load with these options may return to, if the manager does not keep it itself: its blob,
    /// its options and its parameters.
    pub(crate) fn fallback(&self, name: &str, options: &LoadOptions) -> Result<Option<Fallback>, NoMemory> {
        let Some(old) = self.manager.find(name).filter(|_| options.on_fault.falls_back()) else { return Ok(None) };
        let is_stopped = self.manager.stats(old).is_none_or(|profile| profile.stopped);
        let store = self.store.borrow();
        let (Some(stored), Some(options)) = (store.get(old), self.manager.options(old)) else { return Ok(None) };
        // A portable module's blob is worth nothing without its origin.
        if is_stopped || stored.file.is_portable() || self.manager.with_blob(old, |_| ()).is_some() {
            return Ok(None);
        }
        let lines = self.manager.parameters(old);
        let (blob, lines) = (fallible::copy(stored.file.blob())?, text!("{}", lines.as_deref().unwrap_or_default())?);
        Ok(Some(Fallback { blob, options, lines }))
    }

    /// Gives a module the version that it may return to. Without memory, it has none, which the console says.
    pub(crate) fn set_fallback(&self, id: ModuleId, fallback: Option<Fallback>) {
        let Some(Fallback { blob, options, lines }) = fallback else { return };
        if let Err(error) = self.manager.set_fallback(id, &blob, &options, &lines) {
            self.environment.show(Style::Warning, format_args!("[WARN] there is no version to return to: {error}\n"));
        }
    }

    /// Keeps the blob of a version that runs again, and discards the data of the one that faulted.
    fn keep_blob(&self, notice: &Notice) {
        self.sweep();
        let Some(id) = self.manager.find(notice.name.as_str()) else { return };
        // Without memory, only the module can't be saved.
        if let Some(Ok(blob)) = self.manager.with_blob(id, fallible::copy) {
            self.store.borrow_mut().keep(id, ModuleFile::new(Cow::Owned(blob)));
        }
    }
}
