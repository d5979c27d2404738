//! One loaded module: what it is, what it is doing, what came of it.

use core::cell::Cell;
use core::num::{NonZeroU8, NonZeroU64};

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use bareflow_abi::depends::Dependencies;
use bareflow_abi::header::FLAG_REENTRANT;

use crate::diagnosis::{Diagnosis, InFunction};
use crate::fault::{Fault, FaultKind};
use crate::lifecycle::{Lifecycle, ModuleState};
use crate::name::{Name, Version};
use crate::placed::PlacedModule;
use crate::platform::Platform;
use crate::policy::{Domain, FaultPolicy, LoadOptions, Placement};
use crate::profile::ProfileBuffer;
use crate::profile::sampler::Sampler;
use crate::registry::Index;
use crate::valid::ValidModule;

/// A handle to a loaded module. It stays behind when the module is unloaded or
/// replaced, and then leads nowhere: find the name again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModuleId {
    // A whole word: padding would be copied in overlapping pieces, and stall whoever looks it up.
    pub(crate) index: usize,
    pub(crate) epoch: NonZeroU64,
}

/// One loaded module.
pub(crate) struct Module<P: Platform> {
    pub(crate) name: Name,
    pub(crate) version: Version,
    pub(crate) generation: Cell<u32>,
    /// Which load it was: what handles must carry. `None` at its end, when no handle leads to it any more.
    pub(crate) epoch: Cell<Option<NonZeroU64>>,
    /// What is known of its name.
    pub(crate) name_index: Index,
    pub(crate) flags: u32,
    /// The x86-64 level of the code that was placed.
    pub(crate) cpu_level: u8,
    pub(crate) lifecycle: Lifecycle,
    /// Whether it is among those found by its name.
    pub(crate) published: Cell<bool>,
    /// What the last call returned, if any did.
    pub(crate) last_result: Cell<i32>,
    pub(crate) code_size: u32,
    /// Distance of the entry from the start of the text, in bytes.
    pub(crate) entry: u32,
    pub(crate) blob_size: u64,
    pub(crate) placement: Placement,
    pub(crate) placed: PlacedModule<P::Image>,
    pub(crate) sampler: Sampler,
    pub(crate) metadata: Metadata<P::Alloc>,
    pub(crate) faults: Faults<P::Alloc>,
    pub(crate) profile_buffer: ProfileBuffer<P::Alloc>,
}

impl<P: Platform> Module<P> {
    /// Calls so far, those that faulted included.
    pub(crate) fn call_count(&self) -> u64 {
        self.profile_buffer.count() + self.sampler.untimed() + u64::from(self.faults.count.get())
    }

    /// Bytes of the loader's tables that it takes besides its slot.
    pub(crate) fn table_bytes(&self) -> u64 {
        self.faults.table_bytes() + self.profile_buffer.table_bytes() + self.metadata.table_bytes()
    }

    /// Hands out the diagnosis of the last fault, with the function that it is in: nobody looks for that before.
    pub(crate) fn take_diagnosis(&self) -> Option<Diagnosis> {
        let diagnosis = self.faults.diagnosis.take()?;
        let blamed = |fault: Fault| InFunction::blamed(self.metadata.symbols(), &fault, &diagnosis.callers);
        let function = self.faults.last().and_then(blamed);
        Some(Diagnosis { function, ..*diagnosis })
    }

    /// What it is doing, if a call of it may begin.
    pub(crate) fn callable(&self) -> Result<ModuleState, Failure> {
        match self.lifecycle.state() {
            _ if self.lifecycle.is_retired() => Err(Failure::NotLoaded),
            ModuleState::Live => Ok(ModuleState::Live),
            // An address space has one stack, even where the module says that its calls may overlap.
            ModuleState::Running if self.flags & FLAG_REENTRANT != 0 && self.placement.domain == Domain::Kernel => {
                Ok(ModuleState::Running)
            }
            ModuleState::Loading | ModuleState::Running | ModuleState::Stopped => Err(Failure::Refused),
        }
    }
}

/// What of a blob, and of how it was loaded, is of use later: of most, nothing.
pub(crate) struct Metadata<A: Allocator>(Option<Box<MetadataParts<A>, A>>);

/// The metadata of a module that has any.
struct MetadataParts<A: Allocator> {
    options: LoadOptions,
    /// A state's schema, a list of dependencies, the code's functions, and the whole blob.
    bytes: Vec<u8, A>,
    schema: usize,
    depends: usize,
    symbols: usize,
}

impl<A: Allocator + Clone> Metadata<A> {
    /// Keeps the options and the parts of the blob, as far as they are there, or of use; `None` when there is no memory.
    #[inline(always)]
    pub(crate) fn new(valid: &ValidModule<'_>, options: &LoadOptions, allocator: A) -> Option<Metadata<A>> {
        if !valid.has_optional_records() && options.are_default() {
            return Some(Metadata(None));
        }
        let restarts = cfg!(feature = "restart") && options.on_fault != FaultPolicy::Stop;
        let blob = if restarts { valid.raw().blob() } else { &[] };
        MetadataParts::collect(options, allocator, valid.schema(), valid.depends(), valid.symbols(), blob)
    }
}

impl<A: Allocator + Clone> MetadataParts<A> {
    #[cold]
    #[inline(never)]
    fn collect(
        options: &LoadOptions,
        allocator: A,
        schema: &[u8],
        depends: &[u8],
        symbols: &[u8],
        blob: &[u8],
    ) -> Option<Metadata<A>> {
        let mut bytes = Vec::new_in(allocator.clone());
        bytes.try_reserve_exact(schema.len() + depends.len() + symbols.len() + blob.len()).ok()?;
        bytes.extend_from_slice(schema);
        bytes.extend_from_slice(depends);
        bytes.extend_from_slice(symbols);
        bytes.extend_from_slice(blob);
        let (schema, depends, symbols) = (schema.len(), depends.len(), symbols.len());
        let parts = MetadataParts { options: *options, bytes, schema, depends, symbols };
        Some(Metadata(Some(Box::try_new_in(parts, allocator).ok()?)))
    }
}

impl<A: Allocator> Metadata<A> {
    /// How the module was loaded.
    pub(crate) fn options(&self) -> LoadOptions {
        self.0.as_ref().map_or_else(LoadOptions::default, |parts| parts.options)
    }

    /// The schema of the module's state; empty where it has none.
    pub(crate) fn schema(&self) -> &[u8] {
        self.part(|parts| (0, parts.schema))
    }

    /// The list of the modules it may call; empty where it calls none.
    #[inline]
    pub(crate) fn depends(&self) -> &[u8] {
        if cfg!(feature = "depends") { self.part(|parts| (parts.schema, parts.depends)) } else { &[] }
    }

    /// How many those are.
    #[inline]
    pub(crate) fn dependencies(&self) -> u32 {
        let depends = self.depends();
        if depends.is_empty() { 0 } else { Dependencies::new(depends).count() as u32 }
    }

    /// The functions of its code; empty where they are not known.
    pub(crate) fn symbols(&self) -> &[u8] {
        if cfg!(feature = "symbols") { self.part(|parts| (parts.schema + parts.depends, parts.symbols)) } else { &[] }
    }

    /// What the module is restarted from; empty where it never is.
    pub(crate) fn blob(&self) -> &[u8] {
        self.part(|parts| {
            let start = parts.schema + parts.depends + parts.symbols;
            (start, parts.bytes.len() - start)
        })
    }

    /// A part, of which `place` says start and length.
    #[inline]
    fn part(&self, place: impl FnOnce(&MetadataParts<A>) -> (usize, usize)) -> &[u8] {
        let Some(parts) = &self.0 else { return &[] };
        let (start, length) = place(parts);
        parts.bytes.get(start..start + length).unwrap_or_default()
    }

    /// Bytes of the loader's tables that all of it takes.
    pub(crate) fn table_bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, |parts| (size_of::<MetadataParts<A>>() + parts.bytes.len()) as u64)
    }
}

/// A fault as long as nobody asks for it: in less than half the space.
#[derive(Clone, Copy)]
struct PackedFault {
    address: u64,
    offset: u32,
    /// One more than the kind's number.
    kind: NonZeroU8,
    has_offset: bool,
    has_address: bool,
}

impl From<Fault> for PackedFault {
    fn from(fault: Fault) -> PackedFault {
        // Images end below four gigabytes from their base.
        let offset = fault.offset.and_then(|offset| u32::try_from(offset).ok());
        PackedFault {
            address: fault.address.unwrap_or_default(),
            offset: offset.unwrap_or_default(),
            kind: NonZeroU8::MIN.saturating_add(fault.kind as u8),
            has_offset: offset.is_some(),
            has_address: fault.address.is_some(),
        }
    }
}

impl PackedFault {
    fn fault(self) -> Option<Fault> {
        Some(Fault {
            kind: *FaultKind::ALL.get(usize::from(self.kind.get() - 1))?,
            offset: self.has_offset.then_some(self.offset.into()),
            address: self.has_address.then_some(self.address),
        })
    }
}

/// How a module went wrong so far.
pub(crate) struct Faults<A: Allocator> {
    last: Cell<Option<PackedFault>>,
    diagnosis: Cell<Option<Box<Diagnosis, A>>>,
    pub(crate) count: Cell<u32>,
    pub(crate) restarts: Cell<u32>,
}

impl<A: Allocator> Faults<A> {
    /// Not at all.
    pub(crate) const fn none() -> Faults<A> {
        Faults { last: Cell::new(None), diagnosis: Cell::new(None), count: Cell::new(0), restarts: Cell::new(0) }
    }

    /// The last one.
    pub(crate) fn last(&self) -> Option<Fault> {
        self.last.get()?.fault()
    }

    /// Bytes of the loader's tables that the diagnosis takes.
    pub(crate) fn table_bytes(&self) -> u64 {
        let diagnosis = self.diagnosis.take();
        let bytes = if diagnosis.is_some() { size_of::<Diagnosis>() } else { 0 };
        self.diagnosis.set(diagnosis);
        bytes as u64
    }

    /// Takes note of a fault. Without memory for it the diagnosis is lost.
    pub(crate) fn note(&self, fault: Fault, diagnosis: Option<Diagnosis>, allocator: A) {
        self.count.set(self.count.get().saturating_add(1));
        self.last.set(Some(PackedFault::from(fault)));
        self.diagnosis.set(diagnosis.and_then(|diagnosis| Box::try_new_in(diagnosis, allocator).ok()));
    }
}

/// Why a call gave no result, in short.
#[derive(Clone, Copy)]
pub(crate) enum Failure {
    NotLoaded,
    Refused,
    ProfileFull,
    NoMemory,
    Faulted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_fault_is_the_same_again() {
        for &kind in FaultKind::ALL {
            for offset in [None, Some(0), Some(0x5fff_ffff)] {
                for address in [None, Some(0), Some(u64::MAX)] {
                    let fault = Fault { kind, offset, address };
                    assert_eq!(PackedFault::from(fault).fault(), Some(fault));
                }
            }
        }
    }
}
