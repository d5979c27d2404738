//! The check of a module's declarations against the load options, and of these against the manager's permissions.

use bareflow_abi::header::SERVICE_INVOKE;
use bareflow_abi::interface::bindings::Entries;

use crate::error::LoadError;
use crate::format::valid::ValidModule;
use crate::manager::ModuleManager;
use crate::name::Name;
use crate::platform::Platform;
use crate::policy::allowed::Allowed;
use crate::policy::budget::Budget;
use crate::policy::permissions::Permissions;
use crate::policy::{Domain, LoadOptions, Placement};

impl LoadOptions {
    /// Checks that `valid` declares no more than the options allow.
    ///
    /// # Errors
    /// [`LoadError::NotAllowed`], [`LoadError::InterfaceNotAllowed`].
    #[inline(always)]
    pub(crate) fn permit(&self, valid: &ValidModule<'_>) -> Result<(), LoadError> {
        if self.allowed.services == Permissions::ALL {
            return Ok(());
        }
        self.allowed.check(Permissions::declared(&valid.raw().header()), Entries::new(valid.bindings()))
    }
}

impl Allowed {
    /// Checks a module that declares these permissions, and has these imports and exports.
    ///
    /// # Errors
    /// [`LoadError::NotAllowed`], [`LoadError::InterfaceNotAllowed`].
    #[cold]
    #[inline(never)]
    pub fn check(&self, declared: Permissions, bindings: Entries<'_>) -> Result<(), LoadError> {
        let (mut refused, allowed) = (declared.difference(self.services), self.services);
        if refused.has(SERVICE_INVOKE) && self.interfaces().next().is_some() {
            let allows = |interface: &str| self.interfaces().any(|allowed| allowed == interface);
            if let Some(import) = bindings.imports().find(|import| !allows(import.interface))
                && let (Some(name), Some(interface)) = (Name::new(import.name), Name::new(import.interface))
            {
                return Err(LoadError::InterfaceNotAllowed { import: name, interface });
            }
            refused = refused.without(SERVICE_INVOKE);
        }
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
