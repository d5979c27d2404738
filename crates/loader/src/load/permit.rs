//! The check of a module's declarations against the load options, and of these against the manager's permissions.

use crate::error::LoadError;
use crate::format::valid::ValidModule;
use crate::manager::ModuleManager;
use crate::platform::Platform;
use crate::policy::budget::Budget;
use crate::policy::permissions::Permissions;
use crate::policy::{Domain, LoadOptions, Placement};

impl LoadOptions {
    /// Checks that `valid` declares no more than the options allow.
    ///
    /// # Errors
    /// [`LoadError::NotAllowed`].
    #[inline(always)]
    pub(crate) fn permit(&self, valid: &ValidModule<'_>) -> Result<(), LoadError> {
        let allowed = self.allowed;
        if allowed == Permissions::ALL {
            return Ok(());
        }
        let refused = Permissions::declared(&valid.raw().header()).difference(allowed);
        if refused.is_none() { Ok(()) } else { Err(LoadError::NotAllowed { refused, allowed }) }
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Returns the placement of `valid`: its domain, budget and services.
    ///
    /// # Errors
    /// [`LoadError::NoKernelDomain`], [`LoadError::NoSuchDomain`].
    #[inline(always)]
    pub(crate) fn placement(&self, valid: &ValidModule<'_>, options: &LoadOptions) -> Result<Placement, LoadError> {
        let domain = options.domain;
        if domain == Domain::Kernel && self.kernel_domain.is_none() {
            return Err(LoadError::NoKernelDomain);
        }
        if !self.platform.has_domain(domain) {
            return Err(LoadError::NoSuchDomain(domain));
        }
        let header = valid.raw().header();
        Ok(Placement { domain, budget: Budget::of(&header, &options.limits), services: header.services })
    }
}
