//! Conflicts of a load with modules of the same name.

#[cfg(feature = "reload")]
use crate::depends::Candidate;
use crate::error::LoadError;
use crate::format::valid::ValidModule;
use crate::load::IfLoaded;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::platform::Platform;
use crate::registry::NameEntry;

impl<P: Platform> ModuleManager<P> {
    /// Checks for a conflict with loaded modules of the same name, whose entry is `name_entry`.
    ///
    /// Returns the module that the new one will replace, if any.
    #[inline(always)]
    pub(crate) fn check_conflict(
        &self,
        valid: &ValidModule<'_>,
        name_entry: Option<&NameEntry>,
        if_loaded: IfLoaded,
    ) -> Result<Option<ModuleId>, LoadError> {
        let active = name_entry.and_then(|name_entry| name_entry.active.get());
        let conflict = match if_loaded {
            #[cfg(feature = "reload")]
            IfLoaded::Replace => {
                self.check_dependents(active, || Candidate::of(valid))?;
                return Ok(active);
            }
            IfLoaded::RejectActive => active,
            IfLoaded::RejectSameVersion => {
                let version = valid.version();
                self.find_version_of(name_entry, |other| *other == version)
            }
        };
        conflict.map_or(Ok(None), |conflict| Err(self.already_loaded(conflict)))
    }

    /// Returns the error that names the loaded module `id`.
    fn already_loaded(&self, id: ModuleId) -> LoadError {
        // The module was found just now, so the default is unreachable.
        self.get(id).map_or(LoadError::NoMemory, |module| LoadError::AlreadyLoaded {
            name: module.name,
            version: module.version,
        })
    }
}
