//! The loads into the sandbox.

use crate::manager::ModuleManager;
use crate::platform::Platform;
use crate::policy::Domain;
use crate::provenance::Provenance;
use crate::sandbox::Sandbox;

impl<P: Platform> ModuleManager<P> {
    /// From now on runs modules of [`Domain::Sandbox`] with the embedder's privileges, as far as `sandbox` trusts what made
    /// them.
    pub const fn permit_sandbox(&mut self, sandbox: Sandbox) {
        self.sandbox = sandbox;
    }

    /// Returns whether only code with the guard against Spectre may run in the sandbox.
    #[must_use]
    pub const fn needs_guard(&self) -> bool {
        self.sandbox.needs_guard
    }

    /// Returns the domain that code with this origin is placed in if [`Domain::Sandbox`] is asked for.
    #[cold]
    #[inline(never)]
    pub(crate) fn sandboxed(&self, provenance: Option<&Provenance>) -> Domain {
        if provenance.is_some_and(|provenance| self.sandbox.admits(provenance)) { Domain::Kernel } else { Domain::User }
    }
}
