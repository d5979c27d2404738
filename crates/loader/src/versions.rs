//! Several versions of one name, loaded side by side.

use crate::error::LoadError;
#[cfg(feature = "semver")]
use crate::error::SelectError;
use crate::load::IfLoaded;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
#[cfg(feature = "semver")]
use crate::name::requirement::Requirement;
use crate::name::{Key, Name, Version};
use crate::platform::Platform;
use crate::policy::LoadSettings;
use crate::registry::NameEntry;

impl<P: Platform> ModuleManager<P> {
    /// Loads `blob` beside other versions of its name, whose active module stays the same.
    ///
    /// # Errors
    /// As for [`load_with`](Self::load_with), but only a module of the same version counts as already loaded.
    pub fn load_versioned<'load>(
        &self,
        blob: &[u8],
        settings: impl Into<LoadSettings<'load>>,
    ) -> Result<ModuleId, LoadError> {
        Ok(self.load_pending(blob, settings.into(), IfLoaded::RejectSameVersion, None)?.go_live(Some(false)))
    }

    /// Returns the active module of `name`.
    ///
    /// With the feature `semver`, `name` may be any selector that `select` accepts.
    #[must_use]
    #[inline]
    pub fn find(&self, name: &str) -> Option<ModuleId> {
        match Key::of(name).and_then(|key| self.registry.find(&key)) {
            Some(name_entry) => name_entry.active.get(),
            #[cfg(feature = "semver")]
            None if name.contains('@') => self.select(name).ok(),
            None => None,
        }
    }

    /// Returns the highest loaded version of `name` that `matches` accepts; of equal versions, the one loaded last.
    pub fn find_version(&self, name: &str, matches: impl FnMut(&Version) -> bool) -> Option<ModuleId> {
        self.find_version_of(self.registry.name_entry(&Name::new(name)?), matches)
    }

    pub(crate) fn find_version_of(
        &self,
        name_entry: Option<&NameEntry>,
        mut matches: impl FnMut(&Version) -> bool,
    ) -> Option<ModuleId> {
        let mut best: Option<(Version, ModuleId)> = None;
        for id in self.registry.versions(name_entry) {
            let Some(version) = self.get(id).map(|module| module.version) else { continue };
            if matches(&version) && best.is_none_or(|(best, _)| version > best) {
                best = Some((version, id));
            }
        }
        best.map(|(_, id)| id)
    }

    /// Returns the module that `selector` matches, by the rules of Cargo.
    ///
    /// A selector is a name, or a name with a requirement: `sort`, `sort@1.2.0` (exactly that version), `sort@^1`,
    /// `sort@>=1.2, <3`. A plain name selects the active module, a requirement the highest version that meets it.
    ///
    /// # Errors
    /// The part of the selector that is invalid, or the fact that no such module is loaded.
    #[cfg(feature = "semver")]
    pub fn select(&self, selector: &str) -> Result<ModuleId, SelectError> {
        let (name, requirement) = selector.split_once('@').unwrap_or((selector, ""));
        if Name::new(name).is_none() {
            return Err(SelectError::Name);
        }
        if requirement.is_empty() {
            return self.find(name).ok_or(SelectError::NoSuchName);
        }
        let wanted = Requirement::parse(requirement).ok_or(SelectError::Requirement)?;
        let found = self.find_version(name, |version| wanted.admits(version));
        found.ok_or(if self.find(name).is_some() { SelectError::NoSuchVersion } else { SelectError::NoSuchName })
    }

    /// Returns the active module of a name.
    pub(crate) fn active(&self, name: &Name) -> Option<ModuleId> {
        self.registry.name_entry(name)?.active.get()
    }

    /// Makes a module the active one of its name. Returns `false` if the module is gone.
    #[must_use]
    pub fn activate(&self, id: ModuleId) -> bool {
        let Some(module) = self.get(id).filter(|module| !module.lifecycle.is_retired()) else { return false };
        self.name_entry(&module).is_some_and(|name_entry| {
            name_entry.active.set(Some(id));
            true
        })
    }

    /// Returns the highest loaded version of a name.
    pub(crate) fn highest(&self, name_entry: &NameEntry) -> Option<ModuleId> {
        self.find_version_of(Some(name_entry), |_| true)
    }
}
