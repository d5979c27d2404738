//! The loads into the sandbox.

use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::platform::Platform;
use crate::policy::Domain;
use crate::provenance::Provenance;
use crate::sandbox::Sandbox;

impl<P: Platform> ModuleManager<P> {
    /// From now on runs modules of [`Domain::Sandbox`] with the embedder's privileges, as far as `sandbox` trusts what made
    /// them.
    pub fn permit_sandbox(&self, sandbox: Sandbox) {
        self.sandbox.set(sandbox);
    }

    /// Returns whether only code with the guard against Spectre may run in the sandbox.
    #[must_use]
    pub fn needs_guard(&self) -> bool {
        self.sandbox.get().needs_guard
    }

    /// Returns whether the sandbox runs code of the engine that compiled a module; `None` if none did, or it is gone.
    #[must_use]
    pub fn is_of_trusted_engine(&self, id: ModuleId) -> Option<bool> {
        self.get(id)?.metadata.provenance().map(|provenance| self.sandbox.get().trusts(provenance))
    }

    /// Returns the domain that a blob with this origin and these records is placed in if [`Domain::Sandbox`] is asked for.
    #[cold]
    #[inline(never)]
    pub(crate) fn sandboxed(&self, provenance: Option<&Provenance>, records: &[u8]) -> Domain {
        let is_admitted = provenance.is_some_and(|provenance| self.sandbox.get().admits(provenance, records));
        if is_admitted { Domain::Kernel } else { Domain::User }
    }
}
