//! The check of a module's declarations against the load options.

use crate::budget::Budget;
use crate::error::LoadError;
use crate::permissions::Permissions;
use crate::platform::Platform;
use crate::policy::{LoadOptions, Placement};
use crate::valid::ValidModule;

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

    /// Returns the placement of `valid` on `platform`: its domain, budget and services.
    ///
    /// # Errors
    /// [`LoadError::NoSuchDomain`].
    #[inline(always)]
    pub(crate) fn placement(&self, valid: &ValidModule<'_>, platform: &impl Platform) -> Result<Placement, LoadError> {
        if !platform.has_domain(self.domain) {
            return Err(LoadError::NoSuchDomain(self.domain));
        }
        let header = valid.raw().header();
        Ok(Placement { domain: self.domain, budget: Budget::of(&header, &self.limits), services: header.services })
    }
}
