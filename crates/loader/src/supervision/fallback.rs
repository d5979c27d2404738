//! The return to the version that a module replaced.

use allocator_api2::boxed::Box;

use crate::error::{LoadError, RestartError};
use crate::format::raw::RawModule;
use crate::manager::ModuleManager;
use crate::module::lifecycle::ModuleState;
use crate::module::notice::Happening;
use crate::module::supervision::{FellBack, Previous, Step};
use crate::module::{Module, ModuleId};
use crate::name::{Name, Version};
use crate::platform::{Occurrence, Platform};
use crate::policy::LoadOptions;

impl<P: Platform> ModuleManager<P> {
    /// Loads the version that the module `id` replaced once more, in its place, as a reload would.
    ///
    /// It has the settings that it had, and the policy of the module that faulted. If it can't be loaded, the module stays
    /// stopped, and is tried again only if memory was short.
    pub(super) fn fall_back(&self, id: ModuleId) {
        let Some(module) = self.get(id) else { return };
        let Some(supervision) = module.metadata.supervision() else { return };
        supervision.due.set(None);
        let policy = module.metadata.options().on_fault;
        let fell_back = FellBack { from: module.version, fault: module.faults.last() };
        let Some(previous) = supervision.previous.take() else { return };
        // Its users are told, as after a restart.
        let restarts = module.faults.restarts.get();
        module.faults.restarts.set(restarts.wrapping_add(1));
        let is_active = self.active(&module.name) == Some(id);
        drop(module);
        let options = LoadOptions { on_fault: policy, ..previous.options };
        #[cfg(feature = "parameters")]
        let lines = previous.lines();
        #[cfg(feature = "parameters")]
        let settings = options.with_parameters(&lines);
        #[cfg(not(feature = "parameters"))]
        let settings = &options;
        // An operator who made another version the active one has chosen.
        let replaced = if is_active { self.replace(previous.blob(), settings) } else { Err(LoadError::Overtaken) };
        match replaced {
            Ok(reloaded) => {
                let Some(module) = self.get(reloaded.id) else { return };
                if let Some(supervision) = module.metadata.supervision() {
                    supervision.fell_back.set(Some(fell_back));
                }
                if let Some(old) = reloaded.replaced {
                    let (version, generation) = (old.version.parts(), old.generation);
                    self.platform.trace(&module.name, Occurrence::Replaced { version, generation });
                }
                self.tell(&module, Happening::FellBack { from: fell_back.from });
            }
            Err(error) => {
                let Some(module) = self.get(id) else { return };
                let Some(supervision) = module.metadata.supervision() else { return };
                module.faults.restarts.set(restarts);
                supervision.refusal.set(Some(error));
                self.tell(&module, Happening::Refused(error));
                if error.is_for_memory() {
                    supervision.previous.set(Some(previous));
                    let now = self.platform.microseconds().unwrap_or_default();
                    self.wait_for(supervision, supervision.after_failure(policy, now), Step::FallBack);
                } else {
                    self.stays_stopped(&module);
                }
            }
        }
    }

    /// Copies the version that `new` is going to replace, if its policy may return to it.
    ///
    /// One that is stopped is not returned to, but the one that it replaced.
    ///
    /// # Errors
    /// [`LoadError::NoMemory`].
    #[inline]
    pub(crate) fn keep_previous(&self, old: Option<ModuleId>, new: &Module<P>) -> Result<(), LoadError> {
        match old {
            Some(old) if new.metadata.supervision().is_some() => self.keep_previous_of(old, new),
            _ => Ok(()),
        }
    }

    #[cold]
    #[inline(never)]
    fn keep_previous_of(&self, old: ModuleId, new: &Module<P>) -> Result<(), LoadError> {
        let Some(old) = self.get(old).filter(|_| new.metadata.options().on_fault.falls_back()) else { return Ok(()) };
        let allocator = self.platform.allocator();
        if old.lifecycle.state() == ModuleState::Stopped {
            let Some(supervision) = old.metadata.supervision() else { return Ok(()) };
            let Some(previous) = supervision.previous.take() else { return Ok(()) };
            let copy = Previous::new(previous.version, previous.options, previous.lines(), previous.blob(), allocator);
            supervision.previous.set(Some(previous));
            return self.set_previous(new, copy);
        }
        #[cfg(feature = "parameters")]
        let lines = old.metadata.lines();
        #[cfg(not(feature = "parameters"))]
        let lines = "";
        match old.metadata.blob() {
            [] => Ok(()),
            blob => self.set_previous(new, Previous::new(old.version, old.metadata.options(), lines, blob, allocator)),
        }
    }

    fn set_previous(&self, new: &Module<P>, previous: Option<Previous<P::Alloc>>) -> Result<(), LoadError> {
        let previous = previous.ok_or(LoadError::NoMemory)?;
        let previous = Box::try_new_in(previous, self.platform.allocator()).map_err(|_| LoadError::NoMemory)?;
        if let Some(supervision) = new.metadata.supervision() {
            supervision.previous.set(Some(previous));
        }
        Ok(())
    }

    /// Gives the module `id` a version to return to, whose blob the embedder has kept, unless it has one already or its
    /// policy returns to none.
    ///
    /// A version that was loaded so that it is never restarted leaves no blob behind, so its successor has nothing to
    /// return to by itself. `lines` are those of [`with_parameters`](LoadOptions::with_parameters).
    ///
    /// # Errors
    /// [`RestartError::NotLoaded`] if the module is gone, [`RestartError::OtherBlob`] if the bytes are those of a module of
    /// another name, [`RestartError::Load`] if they are none, or without memory.
    pub fn set_fallback(
        &self,
        id: ModuleId,
        blob: &[u8],
        options: &LoadOptions,
        lines: &str,
    ) -> Result<(), RestartError> {
        let module = self.get(id).ok_or(RestartError::NotLoaded)?;
        let takes_one = module.metadata.options().on_fault.falls_back()
            && module.metadata.supervision().is_some_and(|supervision| supervision.previous_version().is_none());
        if !takes_one {
            return Ok(());
        }
        let header = RawModule::parse(blob).map_err(LoadError::from)?.header();
        if Name::from_field(header.name) != Some(module.name) {
            return Err(RestartError::OtherBlob);
        }
        let version = Version::of(&header);
        let previous = Previous::new(version, *options, lines, blob, self.platform.allocator());
        Ok(self.set_previous(&module, previous)?)
    }
}
