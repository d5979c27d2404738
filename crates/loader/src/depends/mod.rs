//! Dependencies between modules: what a load needs, what an unload would break, and which calls would form a cycle.
//!
//! A dependency is a name and a range of versions. It is resolved anew at each call (`resolve`): to the active module
//! of its name if that is in the range, or else to the highest version that is. A reload thus rebinds by itself. The
//! checks look at every version that might be called, so that none can become part of a cycle later.

mod callees;
mod cycle;

use core::cell::Cell;

use bareflow_abi::depends::{Dependencies, Dependency};
use bareflow_abi::interface::bindings::Entries;
use bareflow_abi::record::DEPENDENCIES;

pub use cycle::DependencyCycle;

use crate::error::LoadError;
use crate::format::raw::RawModule;
use crate::format::records::first_record;
use crate::format::valid::ValidModule;
use crate::manager::ModuleManager;
use crate::module::{Module, ModuleId};
pub use crate::name::version_range::VersionRange;
use crate::name::{Name, Version};
use crate::platform::Platform;

/// Returns the list of modules that a module may call.
#[must_use]
pub fn dependencies_of<'blob>(raw: &RawModule<'blob>) -> Dependencies<'blob> {
    Dependencies::new(first_record(raw.records, DEPENDENCIES))
}

/// The properties of a module that the dependency checks need before it is published.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'module> {
    pub name: Name,
    pub version: Version,
    pub depends: &'module [u8],
    pub bindings: Entries<'module>,
}

impl<'blob> Candidate<'blob> {
    pub fn of(module: &ValidModule<'blob>) -> Candidate<'blob> {
        Candidate {
            name: module.name(),
            version: module.version(),
            depends: module.depends(),
            bindings: Entries::new(module.bindings()),
        }
    }
}

impl<'module, P: Platform> From<&'module Module<P>> for Candidate<'module> {
    fn from(module: &'module Module<P>) -> Candidate<'module> {
        Candidate {
            name: module.name,
            version: module.version,
            depends: module.metadata.depends(),
            bindings: module.metadata.bindings(),
        }
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Iterates over the modules whose dependencies would no longer be met if this module were gone.
    pub fn dependents(&self, id: ModuleId) -> impl Iterator<Item = ModuleId> {
        let gone = self.get(id).filter(|module| module.published.get()).map(|module| (module.name, module.version));
        gone.into_iter().flat_map(move |(name, version)| {
            self.ids().filter(move |&by| by != id && self.requirement_lost(by, &name, version, id, None).is_some())
        })
    }

    /// Returns the requirement of `by` that is no longer met if version `new` of the module `name` replaces `gone`.
    ///
    /// `version` is the version of `gone`. Without `new`, `gone` is removed.
    fn requirement_lost(
        &self,
        by: ModuleId,
        name: &Name,
        version: Version,
        gone: ModuleId,
        new: Option<Version>,
    ) -> Option<VersionRange> {
        let module =
            self.get(by).filter(|module| !module.lifecycle.is_retired() && !module.metadata.depends().is_empty())?;
        let needed = Dependencies::new(module.metadata.depends()).find(|needed| needed.name == name.as_str())?;
        let admits = |version: Version| needed.admits(version.parts());
        let met = new.is_some_and(admits)
            || self
                .registry
                .versions(self.registry.name_entry(name))
                .any(|other| other != gone && self.get(other).is_some_and(|other| admits(other.version)));
        (admits(version) && !met).then(|| VersionRange::of(&needed))
    }

    /// Checks that all dependencies of `new` are met and form no cycle. `from` is the module that it replaces.
    #[cold]
    #[inline(never)]
    pub(crate) fn check_dependencies(&self, new: &Candidate<'_>, from: Option<ModuleId>) -> Result<(), LoadError> {
        if new.depends.is_empty() && new.bindings.imports().next().is_none() {
            return Ok(());
        }
        for needed in Dependencies::new(new.depends) {
            let found = self.versions_of(needed.name).any(|id| self.admitted(&needed, id));
            // The names in a valid list are well-formed.
            if let (false, Some(name)) = (found, Name::new(needed.name)) {
                return Err(LoadError::MissingDependency { name, versions: VersionRange::of(&needed) });
            }
        }
        match self.find_cycle(new, from)? {
            Some(cycle) => Err(LoadError::DependencyCycle { name: cycle.second() }),
            None => Ok(()),
        }
    }

    /// Checks that the callers of the module `from` still find an admissible version once `new` has replaced it.
    #[cfg(feature = "reload")]
    #[inline]
    pub(crate) fn check_dependents<'new>(
        &self,
        from: Option<ModuleId>,
        new: impl FnOnce() -> Candidate<'new>,
    ) -> Result<(), LoadError> {
        match from {
            Some(from) if self.callers.get() > 0 => self.check_each_dependent(from, &new()),
            _ => Ok(()),
        }
    }

    #[cfg(feature = "reload")]
    fn check_each_dependent(&self, from: ModuleId, new: &Candidate<'_>) -> Result<(), LoadError> {
        let Some(version) = self.get(from).map(|old| old.version) else { return Ok(()) };
        for by in self.ids() {
            if let Some(versions) = self.requirement_lost(by, &new.name, version, from, Some(new.version))
                && let Some(by) = self.get(by).map(|by| by.name)
            {
                return Err(LoadError::StillNeeded { by, versions });
            }
        }
        self.check_users(from, new.version, new.bindings)
    }

    /// Counts a module that is added or removed, if it may call others, or passes something on to the one that replaces it.
    #[inline]
    pub(crate) fn count_module(&self, module: &Module<P>, comes: bool) {
        if !module.metadata.is_some() {
            return;
        }
        let change = |count: &Cell<usize>| {
            let before = count.get();
            count.set(if comes { before + 1 } else { before.saturating_sub(1) });
        };
        if module.metadata.calls_others() {
            change(&self.callers);
        }
        if module.metadata.is_inherited() {
            change(&self.stateful);
        }
    }

    /// Iterates over the published modules of a name.
    pub(crate) fn versions_of(&self, name: &str) -> impl Iterator<Item = ModuleId> {
        Name::new(name).into_iter().flat_map(|name| self.registry.versions(self.registry.name_entry(&name)))
    }

    /// Returns whether the version of the module `id` is in the range of `needed`.
    pub(crate) fn admitted(&self, needed: &Dependency<'_>, id: ModuleId) -> bool {
        self.get(id).is_some_and(|module| needed.admits(module.version.parts()))
    }
}

#[cfg(all(test, feature = "semver", feature = "depends", feature = "reload"))]
mod tests;
