//! The options of loads that set none themselves.

#[cfg(feature = "portable")]
use bareflow_loader::Budget;
use bareflow_loader::{LoadOptions, ModuleManager, Name, Platform, RawModule};
use bareflow_protocol::tier::Portable;

use crate::module_limits::ModuleLimits;

/// The options by which modules are loaded unless a load says otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadDefaults<'text> {
    /// The options of all modules.
    pub load: LoadOptions,
    /// The limits of single modules.
    pub limits: ModuleLimits<'text>,
    /// The options for portable modules and their engines.
    pub portable: Portable,
}

impl From<LoadOptions> for LoadDefaults<'_> {
    fn from(load: LoadOptions) -> Self {
        LoadDefaults { load, ..LoadDefaults::default() }
    }
}

impl LoadDefaults<'_> {
    /// Returns the options for the load of `blob`.
    ///
    /// An engine runs in the domain that `portable` says, is restarted after a fault, and has limits of its own.
    #[must_use]
    pub fn options(&self, blob: &[u8]) -> LoadOptions {
        let Ok(raw) = RawModule::parse(blob) else { return self.load };
        #[cfg(feature = "portable")]
        let load = if crate::portable::is_engine(&raw) {
            crate::portable::engine_options(&self.load, self.portable.engine_domain)
        } else {
            self.load
        };
        #[cfg(not(feature = "portable"))]
        let load = self.load;
        let name = Name::from_field(raw.header().name);
        let limits = name.map_or(load.limits, |name| self.limits.of(name.as_str(), load.limits));
        LoadOptions { limits, ..load }
    }

    /// Returns whether the engine is loaded that these options ask for.
    #[must_use]
    pub fn has_engine<P: Platform>(&self, manager: &ModuleManager<P>) -> bool {
        #[cfg(feature = "portable")]
        return crate::portable::has_engine(manager, self.portable.tier);
        #[cfg(not(feature = "portable"))]
        {
            let _ = manager;
            false
        }
    }

    /// Returns the limits of the module `name`, which is no engine.
    #[cfg(feature = "portable")]
    pub(crate) fn limits_of(&self, name: &str) -> Budget {
        self.limits.of(name, self.load.limits)
    }
}
