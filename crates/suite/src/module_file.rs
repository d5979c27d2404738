//! A module's file, and the blob that is loaded of it: the file itself, or what an engine made of it.

use alloc::borrow::Cow;
#[cfg(not(feature = "portable"))]
use core::marker::PhantomData;

#[cfg(feature = "portable")]
use bareflow_loader::allocator_api2::boxed::Box;
#[cfg(feature = "portable")]
use bareflow_loader::portable::Compiled;
use bareflow_loader::{Budget, LoadError, LoadSettings, ModuleId, ModuleManager, Platform, Reloaded};
use bareflow_protocol::report::Module;
use bareflow_protocol::tier::Tier;

use crate::compile_refusal::CompileRefusal;
#[cfg(feature = "portable")]
use crate::console::{Console, Style};
#[cfg(feature = "portable")]
use crate::fallible::NO_MEMORY;
use crate::fallible::NoMemory;
use crate::load_defaults::LoadDefaults;
#[cfg(feature = "portable")]
use crate::portable;
#[cfg(feature = "portable")]
use crate::tiers::{Ascent, Current, Rates, Recompiled, Refused, Rule, Upgraded, recompile, switch};

/// A module's file: a blob, or WebAssembly, which is [compiled](ModuleFile::compile) before it is loaded.
pub struct ModuleFile<'bytes, P: Platform> {
    bytes: Cow<'bytes, [u8]>,
    /// The blob that an engine made of WebAssembly; in a box, since most files have none.
    #[cfg(feature = "portable")]
    portable: Option<Box<PortableFile<P>>>,
    #[cfg(not(feature = "portable"))]
    portable: PhantomData<fn() -> P>,
}

/// The blob of a portable module, and its way through the tiers.
#[cfg(feature = "portable")]
struct PortableFile<P: Platform> {
    compiled: Compiled<P::Alloc>,
    ascent: Ascent,
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
            portable: None,
            #[cfg(not(feature = "portable"))]
            portable: PhantomData,
        }
    }

    /// Returns the blob; of WebAssembly that was not compiled yet, the file's bytes, which are none.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        #[cfg(feature = "portable")]
        if let Some(portable) = &self.portable {
            return portable.compiled.blob();
        }
        &self.bytes
    }

    /// Returns the size of the file, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether the file is WebAssembly, which this program can compile.
    #[must_use]
    pub fn is_portable(&self) -> bool {
        #[cfg(feature = "portable")]
        return portable::is_wasm(&self.bytes);
        #[cfg(not(feature = "portable"))]
        false
    }

    /// Returns the tier that its blob is of; `None` if no engine made it.
    #[cfg(feature = "portable")]
    #[must_use]
    pub fn tier(&self) -> Option<Tier> {
        Some(portable::tier_of(self.portable.as_ref()?.compiled.provenance()))
    }

    /// Adds its way through the tiers to what is said of its module.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn with_ascent(&self, module: Module) -> Result<Module, NoMemory> {
        #[cfg(feature = "portable")]
        if let Some(portable) = &self.portable {
            return Ok(Module { ascent: portable.ascent.report()?, ..module });
        }
        Ok(module)
    }

    /// Returns the tier for which its module `id` should be compiled now, if any.
    #[cfg(feature = "portable")]
    #[must_use]
    pub fn next_tier(&self, manager: &ModuleManager<P>, id: ModuleId, rates: &Rates) -> Option<Tier> {
        self.portable.as_ref()?.ascent.next(self.tier()?, manager.cost(id)?, self.bytes.len(), rates)
    }

    /// Takes its module `id` to the tier `to`, and says on the console what came of it. `input` is that of the last call.
    ///
    /// `compiling` makes the call of the engine. Returns what replaced the module, unless it stays as it is.
    #[cfg(feature = "portable")]
    pub fn ascend(
        &mut self,
        manager: &ModuleManager<P>,
        console: &impl Console,
        (id, to): (ModuleId, Tier),
        input: &[u8],
        rates: &mut Rates,
        compiling: impl FnOnce(&dyn Fn() -> Result<Recompiled<P>, Refused>) -> Result<Recompiled<P>, Refused>,
    ) -> Option<Reloaded> {
        let (name, _) = manager.load_of(id)?;
        let (tier, spent) = (self.tier()?, manager.cost(id).unwrap_or_default().cycles);
        let PortableFile { compiled, ascent } = &mut **self.portable.as_mut()?;
        let now = Current { id, tier, compiled, wasm: &self.bytes, input };
        let next = compiling(&|| recompile(manager, console, &now, to));
        match next.and_then(|next| switch(manager, &now, next)) {
            Ok(Upgraded { reloaded, compiled: next, upgrade }) => {
                *compiled = next;
                rates.note(to, self.bytes.len(), upgrade.compile_cycles);
                console.show(Style::Good, format_args!("[OK]"));
                line!(console, Plain, " {name}: {upgrade}");
                portable::note_untrusted(manager, console, reloaded.id);
                ascent.note(Ok(upgrade), spent);
                Some(reloaded)
            }
            Err(refused) => {
                if let Refused::For(reason) | Refused::NoMemory(reason) = &refused {
                    console.show(Style::Warning, format_args!("[WARN]"));
                    line!(console, Plain, " {name} does not go to tier {}: {reason}", to.name());
                }
                ascent.note(Err(refused), spent);
                None
            }
        }
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
        if self.portable.is_none() && self.is_portable() {
            let room = Box::try_new_uninit().map_err(|_| CompileRefusal::NoMemory(NO_MEMORY.into()))?;
            let limits = limits.unwrap_or_else(|| defaults.limits_of(portable::name_of_file(label)));
            let tier = tier.unwrap_or(defaults.portable.tier);
            let compiled = portable::compile(manager, label, &self.bytes, tier, &limits)?;
            let rule = if tier == Tier::Auto { Rule::new(defaults.portable.calls) } else { Rule::Never };
            self.portable = Some(Box::write(room, PortableFile { compiled, ascent: Ascent::new(rule) }));
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
        if let Some(portable) = &self.portable {
            return manager.load_compiled(&portable.compiled, settings);
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
        if let Some(portable) = &self.portable {
            return manager.replace_compiled(&portable.compiled, settings);
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
        if let Some(portable) = &self.portable {
            return manager.load_compiled_candidate(&portable.compiled, settings);
        }
        manager.load_candidate(&self.bytes, settings)
    }
}
