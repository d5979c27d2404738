//! The check of a module's declarations against the load options, and of these against the manager's permissions.

#[cfg(feature = "devices")]
use bareflow_abi::devices::Devices;
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
use crate::provenance::Provenance;

/// The name of the interface that a module with events must be allowed, whether it imports it or not.
const EVENTS_INTERFACE: &str = "events";

impl LoadOptions {
    /// Checks that `valid` declares no more than the options allow, as a load does.
    ///
    /// # Errors
    /// [`LoadError::NotAllowed`], [`LoadError::InterfaceNotAllowed`], [`LoadError::EventsNotAllowed`], and
    /// `LoadError::DeviceNotAllowed`.
    #[inline(always)]
    pub fn permit(&self, valid: &ValidModule<'_>) -> Result<(), LoadError> {
        if self.allowed.services == Permissions::ALL {
            return Ok(());
        }
        self.allowed.check(valid)
    }
}

impl Allowed {
    /// Checks the permissions that a module declares, its imports, its devices and its events. `all` is checked by
    /// [`permit`](LoadOptions::permit).
    #[cold]
    #[inline(never)]
    fn check(&self, valid: &ValidModule<'_>) -> Result<(), LoadError> {
        let declared = Permissions::declared(&valid.raw().header());
        let (mut refused, allowed) = (declared.difference(self.services), self.services);
        let allows = |interface: &str| self.interfaces().any(|allowed| allowed == interface);
        if refused.has(SERVICE_INVOKE) && self.interfaces().next().is_some() {
            if let Some(import) = Entries::new(valid.bindings()).imports().find(|import| !allows(import.interface))
                && let (Some(name), Some(interface)) = (Name::new(import.name), Name::new(import.interface))
            {
                return Err(LoadError::InterfaceNotAllowed { import: name, interface });
            }
            refused = refused.without(SERVICE_INVOKE);
        }
        if !refused.is_none() {
            return Err(LoadError::NotAllowed { refused, allowed });
        }
        #[cfg(feature = "devices")]
        if let Some(device) = Devices::new(valid.devices()).find(|device| self.devices().all(|other| other != *device))
        {
            return Err(LoadError::DeviceNotAllowed { device });
        }
        // Handlers are called without that the module asks for it, so that needs no import of the interface.
        let may_have_events = allowed.has(SERVICE_INVOKE) || allows(EVENTS_INTERFACE) || !valid.has_events();
        if may_have_events { Ok(()) } else { Err(LoadError::EventsNotAllowed) }
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Returns the placement of `valid`, which came from `provenance`: its domain, budget and services.
    ///
    /// # Errors
    /// [`LoadError::NoKernelDomain`], [`LoadError::NoSuchDomain`].
    #[inline(always)]
    pub(crate) fn placement(
        &self,
        valid: &ValidModule<'_>,
        options: &LoadOptions,
        provenance: Option<&Provenance>,
    ) -> Result<Placement, LoadError> {
        let domain = match options.domain {
            Domain::Kernel if self.kernel_domain.is_none() => return Err(LoadError::NoKernelDomain),
            Domain::Sandbox => self.sandboxed(provenance, valid.raw().records),
            domain => domain,
        };
        if !self.platform.has_domain(domain) {
            return Err(LoadError::NoSuchDomain(domain));
        }
        let header = valid.raw().header();
        let mut budget = Budget::of(&header, &options.limits);
        if valid.memory().is_some() {
            budget.memory_bytes = options.limits.memory_bytes;
        }
        Ok(Placement { domain, budget, services: header.services })
    }

    /// Returns the domain of a module for which the sandbox is asked: without portable modules, there is none.
    #[cfg(not(feature = "portable"))]
    #[expect(clippy::unused_self, reason = "it is what the manager with portable modules has")]
    const fn sandboxed(&self, _: Option<&Provenance>, _: &[u8]) -> Domain {
        Domain::User
    }
}
