//! The sandbox: portable modules that run with the embedder's privileges, because a trusted engine compiled them.

use bareflow_abi::carry::{self, Carry};
use bareflow_abi::record::{CARRY, MEMORY, VARIANT};

use crate::format::raw::RawModule;
use crate::format::records::{bindings, first_record};
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

    /// Runs code with the guard alone, or, if `needs_guard` is `false`, without it, too. What a module then makes a processor
    /// guess may leave traces of all that is mapped, which the module can read by the time that its accesses take.
    #[must_use]
    pub const fn with_guard(self, needs_guard: bool) -> Sandbox {
        Sandbox { needs_guard, ..self }
    }

    /// Returns whether the engine is trusted that made this code.
    pub(crate) fn trusts(&self, provenance: &Provenance) -> bool {
        self.engines.iter().flatten().any(|trusted| *trusted == provenance.engine_digest)
    }

    /// Returns whether the code of a blob with these records may run with the embedder's privileges.
    pub(crate) fn admits(&self, provenance: &Provenance, records: &[u8]) -> bool {
        let is_guarded = !self.needs_guard || provenance.options.spectre_guard == 1;
        self.trusts(provenance) && is_guarded && is_of_engine(records)
    }
}

/// Returns whether these records are those of an engine's blob, which has no further code, and no memory but that of its
/// instance: an engine that passed a module's own on would let it choose what is written where.
fn is_of_engine(records: &[u8]) -> bool {
    let words = first_record(records, MEMORY).first_chunk().map(|offset| u32::from_le_bytes(*offset));
    let carried = Carry::parse(first_record(records, CARRY), u64::MAX).ok();
    let instance = carried.and_then(|carry| carry.areas().find(|area| area.kind == carry::AREA_MEMORY));
    first_record(records, VARIANT).is_empty() && (words.is_none() || words == instance.map(|area| area.offset))
}
