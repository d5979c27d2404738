//! The sandbox: portable modules that run with the embedder's privileges, because a trusted engine compiled them.

use crate::format::raw::RawModule;
use crate::format::records::bindings;
use crate::provenance::{Digest, Provenance, digest, is_engine};

/// The most engines that a sandbox trusts.
pub const MAX_TRUSTED_ENGINES: usize = 4;

/// The permission to run with the embedder's privileges what certain engines compile: what makes
/// [`Domain::Sandbox`](crate::Domain::Sandbox) more than another name of the user domain.
///
/// The code stays within its memory by its own checks, or by the window that its memory lies in. A module that nobody
/// trusts can therefore run there, if the engine is trusted that compiled it. Which engine that was, and with which options,
/// the loader knows from its own call of it ([`Provenance`]), never from a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sandbox {
    engines: [Option<Digest>; MAX_TRUSTED_ENGINES],
    pub(crate) needs_guard: bool,
}

impl Sandbox {
    /// Trusts no engine, and so runs nothing with the embedder's privileges.
    pub const EMPTY: Sandbox = Sandbox { engines: [None; MAX_TRUSTED_ENGINES], needs_guard: true };

    /// Trusts those of `blobs` that are engines: the first [`MAX_TRUSTED_ENGINES`] of them. Only code with the guard against
    /// Spectre is run ([`Options::spectre_guard`](bareflow_engine::Options::spectre_guard)), so none that is interpreted.
    ///
    /// # Safety
    /// Whatever WebAssembly these engines are given, the code of what they make of it keeps the rules of
    /// [`KernelDomain::trust_all_blobs`](crate::KernelDomain::trust_all_blobs), and the rules that its options name.
    #[expect(unsafe_code, reason = "declares a contract")]
    #[must_use]
    pub unsafe fn trust<'blob>(blobs: impl IntoIterator<Item = &'blob [u8]>) -> Sandbox {
        let is_engine = |blob: &&[u8]| RawModule::parse(blob).is_ok_and(|raw| is_engine(&bindings(raw.records)));
        let mut digests = blobs.into_iter().filter(is_engine).map(digest);
        Sandbox { engines: [(); MAX_TRUSTED_ENGINES].map(|()| digests.next()), ..Sandbox::EMPTY }
    }

    /// Runs code without the guard, too. What a module then makes a processor guess may leave traces of all that is mapped,
    /// which the module can read by the time that its accesses take.
    #[must_use]
    pub const fn without_guard(self) -> Sandbox {
        Sandbox { needs_guard: false, ..self }
    }

    /// Returns whether this code may run with the embedder's privileges.
    pub(crate) fn admits(&self, provenance: &Provenance) -> bool {
        let is_trusted = self.engines.iter().flatten().any(|trusted| *trusted == provenance.engine_digest);
        is_trusted && (!self.needs_guard || provenance.options.spectre_guard == 1)
    }
}
