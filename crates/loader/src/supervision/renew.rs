//! A fresh image for a module: in the memory of the old one if nothing can run there any more, or else beside it.

use bareflow_abi::events;

use crate::error::{LoadError, RestartError};
use crate::format::raw::RawModule;
use crate::format::valid::{Capabilities, ValidModule};
use crate::manager::ModuleManager;
#[cfg(feature = "regions")]
use crate::module::Index;
use crate::module::lifecycle::ModuleState;
use crate::module::placed::PlacedModule;
use crate::module::{Module, ModuleId};
use crate::name::{Name, Version};
use crate::platform::{Occurrence, Platform};
#[cfg(all(feature = "portable", feature = "supervision"))]
use crate::provenance::digest;
use crate::registry::Slot;

impl<P: Platform> ModuleManager<P> {
    /// Gives a module a fresh image from the blob that it keeps, or else from `blob`, and calls its `init`.
    ///
    /// One that is stopped needs no more memory than it has, if the platform can fill its image anew. One that is live goes
    /// on in its old image if this fails; it is not called meanwhile.
    ///
    /// # Errors
    /// The reason for which it was not restarted. Its regions are gone, and its timers are those of its declaration.
    pub(super) fn renew(&self, id: ModuleId, blob: Option<&[u8]>) -> Result<(), RestartError> {
        // A running call borrows its module.
        if self.registry.slot(id.index).is_none_or(Slot::is_borrowed) {
            return Err(if self.get(id).is_some() { RestartError::Busy } else { RestartError::NotLoaded });
        }
        let module = self.get(id).filter(|module| !module.lifecycle.is_retired()).ok_or(RestartError::NotLoaded)?;
        let was_stopped = module.lifecycle.state() == ModuleState::Stopped;
        check_blob(&module, blob)?;
        self.lose_what_lives(id, &module);
        drop(module);
        let renewed = self.renew_idle(id, blob, was_stopped);
        // What was replaced during its `init` ends after that, as after any call.
        #[cfg(feature = "reload")]
        if self.get(id).is_some_and(|module| module.lifecycle.is_retired()) {
            self.reap_retired(id);
            return Err(RestartError::NotLoaded);
        }
        renewed
    }

    /// Gives a module of which no call is under way a fresh image, and calls its `init`.
    fn renew_idle(&self, id: ModuleId, blob: Option<&[u8]>, was_stopped: bool) -> Result<(), RestartError> {
        let placed = self.place_anew(id, blob);
        let module = self.get(id).ok_or(RestartError::NotLoaded)?;
        let old = placed.inspect_err(|_| self.restore_what_lives(id, &module))?;
        let old = match old {
            // Nothing goes back to it, and `init` may need the memory.
            Some(old) if was_stopped => {
                self.release(old.image);
                None
            }
            old => old,
        };
        module.lifecycle.stop();
        let called = self.keeping_last_fault(|| self.platform.call_apart(|| self.call_first(&module)));
        if !was_stopped {
            module.lifecycle.resume();
        }
        if let Err(error) = called {
            self.lose_what_lives(id, &module);
            self.restore_what_lives(id, &module);
            drop(module);
            if let Some(old) = old {
                self.swap_image(id, old);
            }
            return Err(error.into());
        }
        let restarts = &module.faults.restarts;
        restarts.set(restarts.get().saturating_add(1));
        module.lifecycle.resume();
        module.lifecycle.set_restarts(false);
        self.platform.trace(&module.name, Occurrence::Restarted);
        let name = module.name;
        drop(module);
        if let Some(old) = old {
            self.release(old.image);
        }
        #[cfg(feature = "events")]
        self.start_events(id, None);
        #[cfg(feature = "devices")]
        self.tell_of_devices(id);
        self.publish_own(&name, events::RESTARTED);
        Ok(())
    }

    /// Places a module once more. Returns its old image, unless that was filled anew.
    fn place_anew(&self, id: ModuleId, blob: Option<&[u8]>) -> Result<Option<PlacedModule<P::Image>>, RestartError> {
        let mut slot = self.registry.slot(id.index).and_then(Slot::try_borrow_mut).ok_or(RestartError::Busy)?;
        let module = slot.as_deref_mut().ok_or(RestartError::NotLoaded)?;
        let Module { placed, metadata, placement, lifecycle, .. } = module;
        let raw = RawModule::parse(kept_or(metadata.blob(), blob)?).map_err(LoadError::from)?;
        let valid = ValidModule::validate(raw, Capabilities::of(&self.platform)).map_err(LoadError::from)?;
        if lifecycle.state() == ModuleState::Stopped && placed.refill(&valid, &self.platform) {
            return Ok(None);
        }
        let fresh = PlacedModule::place(&valid, placement, &self.platform)?;
        Ok(Some(core::mem::replace(placed, fresh)))
    }

    /// Calls what is called first in a fresh image.
    fn call_first(&self, module: &Module<P>) -> Result<(), LoadError> {
        #[cfg(feature = "parameters")]
        self.call_parameters(module, &module.placed)?;
        self.call_init(module, &module.placed)
    }

    /// Puts an image back in the place of a module's, which is released.
    fn swap_image(&self, id: ModuleId, image: PlacedModule<P::Image>) {
        let mut slot = self.registry.slot(id.index).and_then(Slot::try_borrow_mut);
        let unused = match slot.as_deref_mut().and_then(Option::as_deref_mut) {
            Some(module) => core::mem::replace(&mut module.placed, image),
            None => image,
        };
        drop(slot);
        self.release(unused.image);
    }

    /// Takes a module's timers and regions away, before its image goes or after its `init` failed.
    fn lose_what_lives(&self, id: ModuleId, module: &Module<P>) {
        #[cfg(feature = "events")]
        self.reset_events(module);
        #[cfg(feature = "devices")]
        self.close_devices(id.index as Index);
        #[cfg(feature = "regions")]
        self.lose_regions(id.index as Index, &module.metadata, false);
        let _ = (id, module);
    }

    /// Starts what a module declares again, after it could not be restarted.
    fn restore_what_lives(&self, id: ModuleId, module: &Module<P>) {
        #[cfg(feature = "events")]
        self.restore_events(module);
        #[cfg(feature = "devices")]
        self.tell_of_devices(id);
        let _ = (id, module);
    }
}

/// Returns the blob that a module is restarted from.
fn kept_or<'blob>(kept: &'blob [u8], other: Option<&'blob [u8]>) -> Result<&'blob [u8], RestartError> {
    if kept.is_empty() { other.ok_or(RestartError::NotKept) } else { Ok(kept) }
}

/// Checks that the blob is the one of the module: by all of its bytes if it was compiled for the sandbox or is an engine, and
/// else as far as that can be seen at a glance.
fn check_blob<P: Platform>(module: &Module<P>, blob: Option<&[u8]>) -> Result<(), RestartError> {
    let kept = module.metadata.blob();
    let blob = kept_or(kept, blob)?;
    #[cfg(all(feature = "portable", feature = "supervision"))]
    if kept.is_empty() && module.metadata.trusted_digest().is_some_and(|trusted| trusted != digest(blob)) {
        return Err(RestartError::OtherBlob);
    }
    let raw = RawModule::parse(blob).map_err(LoadError::from)?;
    let found = (Name::from_field(raw.header().name), Version::of(&raw.header()), blob.len() as u64);
    if found != (Some(module.name), module.version, module.blob_size) {
        return Err(RestartError::OtherBlob);
    }
    Ok(())
}
