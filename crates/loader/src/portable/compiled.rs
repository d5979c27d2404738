//! A blob that an engine made, and its load.

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;

use crate::error::LoadError;
use crate::load::IfLoaded;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::platform::Platform;
use crate::policy::LoadSettings;
use crate::provenance::Provenance;
#[cfg(feature = "reload")]
use crate::reload::Reloaded;

/// A blob that an engine made, with its origin. Only [`ModuleManager::compile`] makes one.
#[derive(Debug)]
pub struct Compiled<A: Allocator> {
    pub(super) blob: Vec<u8, A>,
    pub(super) provenance: Provenance,
}

impl<A: Allocator> Compiled<A> {
    /// Returns the blob. What is loaded from these bytes alone has no origin.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// Returns the origin.
    #[must_use]
    pub const fn provenance(&self) -> &Provenance {
        &self.provenance
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Loads a compiled blob, as [`load_with`](Self::load_with) does.
    ///
    /// # Errors
    /// As there.
    pub fn load_compiled<'load>(
        &self,
        compiled: &Compiled<impl Allocator>,
        settings: impl Into<LoadSettings<'load>>,
    ) -> Result<ModuleId, LoadError> {
        let origin = Some(&compiled.provenance);
        Ok(self.load_pending(&compiled.blob, settings.into(), IfLoaded::RejectActive, origin)?.go_live(Some(true)))
    }

    /// Loads a compiled blob and replaces the active module of its name, as [`replace`](Self::replace) does.
    ///
    /// If that was made of the same WebAssembly, its instance is carried over: its globals, tables and memory. The new
    /// module goes on with them, and its `init` is not called.
    ///
    /// # Errors
    /// As there; also if the instance can't be carried.
    #[cfg(feature = "reload")]
    pub fn replace_compiled<'load>(
        &self,
        compiled: &Compiled<impl Allocator>,
        settings: impl Into<LoadSettings<'load>>,
    ) -> Result<Reloaded, LoadError> {
        self.replace_from(&compiled.blob, settings.into(), Some(&compiled.provenance))
    }

    /// Loads a compiled blob as a candidate, as [`load_candidate`](Self::load_candidate) does.
    ///
    /// It starts with a copy of the instance of the module that it may replace, if that was made of the same WebAssembly.
    ///
    /// # Errors
    /// As for [`replace_compiled`](Self::replace_compiled).
    #[cfg(feature = "reload")]
    pub fn load_compiled_candidate<'load>(
        &self,
        compiled: &Compiled<impl Allocator>,
        settings: impl Into<LoadSettings<'load>>,
    ) -> Result<ModuleId, LoadError> {
        let origin = Some(&compiled.provenance);
        Ok(self.load_pending(&compiled.blob, settings.into(), IfLoaded::Replace, origin)?.go_live(None))
    }

    /// Returns the origin of the module `id`, if an engine made its blob.
    #[must_use]
    pub fn provenance(&self, id: ModuleId) -> Option<Provenance> {
        self.get(id)?.metadata.provenance().copied()
    }
}
