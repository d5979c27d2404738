//! A module's file, and the blob that is loaded of it: the file itself, or what an engine made of it.

use alloc::borrow::Cow;
#[cfg(not(feature = "portable"))]
use core::marker::PhantomData;

#[cfg(feature = "portable")]
use bareflow_loader::portable::Compiled;
use bareflow_loader::{Budget, LoadError, LoadSettings, ModuleId, ModuleManager, Platform, Reloaded};
use bareflow_protocol::tier::Tier;

use crate::compile_refusal::CompileRefusal;
use crate::load_defaults::LoadDefaults;
#[cfg(feature = "portable")]
use crate::portable;

/// A module's file: a blob, or WebAssembly, which is [compiled](ModuleFile::compile) before it is loaded.
pub struct ModuleFile<'bytes, P: Platform> {
    bytes: Cow<'bytes, [u8]>,
    #[cfg(feature = "portable")]
    compiled: Option<Compiled<P::Alloc>>,
    #[cfg(not(feature = "portable"))]
    compiled: PhantomData<fn() -> P>,
}

impl<P: Platform> Default for ModuleFile<'_, P> {
    fn default() -> Self {
        ModuleFile::new(Cow::Borrowed(&[]))
    }
}

impl<'bytes, P: Platform> ModuleFile<'bytes, P> {
    /// Creates a file of these bytes.
    #[must_use]
    pub const fn new(bytes: Cow<'bytes, [u8]>) -> ModuleFile<'bytes, P> {
        ModuleFile {
            bytes,
            #[cfg(feature = "portable")]
            compiled: None,
            #[cfg(not(feature = "portable"))]
            compiled: PhantomData,
        }
    }

    /// Returns the blob; of WebAssembly that was not compiled yet, the file's bytes, which are none.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        #[cfg(feature = "portable")]
        if let Some(compiled) = &self.compiled {
            return compiled.blob();
        }
        &self.bytes
    }

    /// Returns whether the file is WebAssembly, which this program can compile.
    #[must_use]
    pub fn is_portable(&self) -> bool {
        #[cfg(feature = "portable")]
        return portable::is_wasm(&self.bytes);
        #[cfg(not(feature = "portable"))]
        false
    }

    /// Compiles WebAssembly, unless that was done before. `label` names the file; the tier and the limits are those of
    /// `defaults` unless others are given.
    ///
    /// The engine runs as any module does: nothing that it needs may be borrowed.
    ///
    /// # Errors
    /// There is no engine, it refused the file, it faulted, or memory ran out.
    pub fn compile(
        &mut self,
        manager: &ModuleManager<P>,
        label: &str,
        defaults: &LoadDefaults<'_>,
        tier: Option<Tier>,
        limits: Option<Budget>,
    ) -> Result<(), CompileRefusal> {
        #[cfg(feature = "portable")]
        if self.compiled.is_none() && self.is_portable() {
            let limits = limits.unwrap_or_else(|| defaults.limits_of(portable::name_of_file(label)));
            let tier = tier.or(defaults.portable.tier);
            self.compiled = Some(portable::compile(manager, label, &self.bytes, tier, &limits)?);
        }
        #[cfg(not(feature = "portable"))]
        let _ = (manager, label, defaults, tier, limits);
        Ok(())
    }

    /// Loads the module.
    ///
    /// # Errors
    /// Those of [`ModuleManager::load_with`].
    pub fn load<'load>(
        &self,
        manager: &ModuleManager<P>,
        settings: impl Into<LoadSettings<'load>>,
    ) -> Result<ModuleId, LoadError> {
        #[cfg(feature = "portable")]
        if let Some(compiled) = &self.compiled {
            return manager.load_compiled(compiled, settings);
        }
        manager.load_with(&self.bytes, settings)
    }

    /// Loads the module in the place of the active one of its name.
    ///
    /// # Errors
    /// Those of [`ModuleManager::replace`].
    pub fn replace<'load>(
        &self,
        manager: &ModuleManager<P>,
        settings: impl Into<LoadSettings<'load>>,
    ) -> Result<Reloaded, LoadError> {
        #[cfg(feature = "portable")]
        if let Some(compiled) = &self.compiled {
            return manager.replace_compiled(compiled, settings);
        }
        manager.replace(&self.bytes, settings)
    }

    /// Loads the module as one that may replace the active one of its name.
    ///
    /// # Errors
    /// Those of [`ModuleManager::load_candidate`].
    pub fn load_candidate<'load>(
        &self,
        manager: &ModuleManager<P>,
        settings: impl Into<LoadSettings<'load>>,
    ) -> Result<ModuleId, LoadError> {
        #[cfg(feature = "portable")]
        if let Some(compiled) = &self.compiled {
            return manager.load_compiled_candidate(compiled, settings);
        }
        manager.load_candidate(&self.bytes, settings)
    }
}
