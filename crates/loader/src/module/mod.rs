//! A loaded module: its properties, its lifecycle state, and the results of its calls.

pub(crate) mod interfaces;
pub mod lifecycle;
#[cfg(feature = "supervision")]
pub mod notice;
pub mod placed;
pub mod receipt;
#[cfg(feature = "supervision")]
pub(crate) mod supervision;

use core::cell::Cell;
use core::num::{NonZeroU8, NonZeroU64};

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use bareflow_abi::Reason;
use bareflow_abi::depends::Dependencies;
use bareflow_abi::header::{FLAG_NO_RUN, FLAG_REENTRANT};
use bareflow_abi::interface::bindings::Entries;

use crate::diagnosis::{Diagnosis, InFunction};
use crate::error::LoadError;
use crate::fault::{Fault, FaultKind};
use crate::format::valid::ValidModule;
use crate::module::interfaces::Interfaces;
use crate::module::lifecycle::{Lifecycle, ModuleState};
use crate::module::placed::PlacedModule;
#[cfg(feature = "supervision")]
use crate::module::supervision::Supervision;
use crate::name::{Name, Version};
use crate::platform::{Call, CallFailure, Platform};
use crate::policy::{Domain, FaultPolicy, LoadOptions, Placement};
use crate::profile::sampler::Sampler;
use crate::profile::{ProfileBuffer, Timing, Usage};
use crate::provenance::Provenance;
#[cfg(feature = "portable")]
use crate::provenance::{Digest, digest_of_engine};

/// The index of a slot or name in the registry.
pub(crate) type Index = u32;

/// A handle to a loaded module. Once the module is unloaded or replaced, the handle is stale: look the name up again.
///
/// It is only good for the manager that returned it. Another manager does not notice, and may take it for a handle to
/// one of its own modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModuleId {
    // A whole word, because padding would be copied in overlapping pieces and stall lookups.
    pub(crate) index: usize,
    pub(crate) epoch: NonZeroU64,
}

/// One loaded module.
pub(crate) struct Module<P: Platform> {
    pub(crate) name: Name,
    pub(crate) version: Version,
    pub(crate) generation: Cell<u32>,
    /// The load's number, which handles must carry. `None` once no handle is valid any more.
    pub(crate) epoch: Cell<Option<NonZeroU64>>,
    /// The index of the registry's entry for its name.
    pub(crate) name_index: Index,
    pub(crate) flags: u32,
    /// The x86-64 level of the code that was placed.
    pub(crate) cpu_level: u8,
    pub(crate) lifecycle: Lifecycle,
    /// Whether it can be found by its name.
    pub(crate) published: Cell<bool>,
    /// The result of the last call; 0 before the first.
    pub(crate) last_result: Cell<i32>,
    pub(crate) code_size: u32,
    /// The offset of the entry from the start of the text, in bytes.
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
    /// Creates a module that was validated and placed. `name_index` and `epoch` come from its reservation.
    #[inline(always)]
    pub(crate) fn new(
        valid: &ValidModule<'_>,
        options: &LoadOptions,
        (name_index, epoch): (Index, NonZeroU64),
        placement: Placement,
        placed: PlacedModule<P::Image>,
        metadata: Metadata<P::Alloc>,
    ) -> Module<P> {
        let header = valid.raw().header();
        Module {
            name: valid.name(),
            version: valid.version(),
            generation: Cell::new(0),
            epoch: Cell::new(Some(epoch)),
            name_index,
            flags: header.flags,
            cpu_level: valid.code().header.level,
            lifecycle: Lifecycle::loading(options.domain != Domain::Kernel || valid.is_slow_path_only()),
            published: Cell::new(false),
            last_result: Cell::new(0),
            code_size: valid.code().header.text_size,
            entry: valid.code().header.entry,
            blob_size: valid.raw().blob().len() as u64,
            placement,
            placed,
            sampler: Sampler::new(options.sample_every),
            metadata,
            faults: Faults::none(),
            profile_buffer: ProfileBuffer::new(),
        }
    }

    /// Returns a call of the module outside of its profile, in the image `placed`.
    pub(crate) const fn call<'call>(
        &'call self,
        placed: &'call PlacedModule<P::Image>,
        reason: Reason,
        input: &'call [u8],
        timing: Timing,
    ) -> Call<'call, P::Image> {
        Call {
            module: &self.name,
            image: &placed.image,
            entry: placed.entry,
            reason: reason as u32,
            input,
            timing,
            check_abi: true,
        }
    }

    /// Returns the number of calls, including those that faulted, without those of functions.
    pub(crate) fn call_count(&self) -> u64 {
        self.profile_buffer.count() + self.sampler.untimed() + u64::from(self.faults.count.get())
    }

    /// Returns the memory that the module uses besides its slot and its image: the loader's tables, and its regions.
    pub(crate) fn usage(&self) -> Usage {
        let metadata = self.metadata.usage();
        let table_bytes = self.faults.table_bytes() + self.profile_buffer.table_bytes() + metadata.table_bytes;
        Usage { table_bytes, ..metadata }
    }

    /// Returns the diagnosis of the last fault once. The function to blame is looked up only now, when it is needed.
    pub(crate) fn take_diagnosis(&self) -> Option<Diagnosis> {
        let diagnosis = self.faults.diagnosis.take()?;
        let blamed = |fault: Fault| InFunction::blamed(self.metadata.symbols(), &fault, &diagnosis.callers);
        let function = self.faults.last().and_then(blamed);
        Some(Diagnosis { function, ..*diagnosis })
    }

    /// Returns the failure of a call as the loader reports it: a fault at a trap site has the kind of the trap.
    ///
    /// All failures that the platform reports come by here.
    #[cold]
    pub(crate) fn failure(&self, reported: CallFailure) -> CallFailure {
        match reported {
            CallFailure::Fault(fault) if cfg!(feature = "traps") => fault.at_trap_site(self.metadata.traps()).into(),
            other => other,
        }
    }

    /// Returns the lifecycle state, provided that a call of `run` may begin.
    pub(crate) fn runnable(&self) -> Result<ModuleState, Failure> {
        if self.flags & FLAG_NO_RUN != 0 { Err(Failure::NoRun) } else { self.callable() }
    }

    /// Returns the lifecycle state, provided that a call may begin.
    pub(crate) fn callable(&self) -> Result<ModuleState, Failure> {
        match self.lifecycle.state() {
            _ if self.lifecycle.is_retired() => Err(Failure::NotLoaded),
            ModuleState::Live => Ok(ModuleState::Live),
            // The calls of one address space share one stack, even if the module says that its calls may overlap.
            ModuleState::Running if self.flags & FLAG_REENTRANT != 0 && self.placement.domain == Domain::Kernel => {
                Ok(ModuleState::Running)
            }
            ModuleState::Loading | ModuleState::Running | ModuleState::Stopped => Err(Failure::Refused),
        }
    }
}

/// Blob metadata and options that are retained after loading; usually none.
pub(crate) struct Metadata<A: Allocator>(Option<Box<MetadataParts<A>, A>>);

/// A part of the metadata.
#[derive(Clone, Copy)]
enum Part {
    /// The state's schema.
    Schema,
    /// The dependency list.
    Depends,
    /// The symbols of the code.
    Symbols,
    /// The trap sites of the code.
    Traps,
    /// The areas of its instance of WebAssembly.
    #[cfg_attr(not(feature = "portable"), expect(dead_code, reason = "it is empty, and no one asks for it"))]
    Carry,
    /// The values of the parameters.
    #[cfg_attr(not(feature = "parameters"), expect(dead_code, reason = "it is empty, and no one asks for it"))]
    Values,
    /// The lines that set some of them.
    Lines,
    /// The whole blob.
    Blob,
}

/// The number of parts.
const PARTS: usize = Part::Blob as usize + 1;

/// The metadata of a module that has any.
struct MetadataParts<A: Allocator> {
    options: LoadOptions,
    /// The [`Part`]s, one after the other.
    bytes: Vec<u8, A>,
    /// The end of each part.
    ends: [u32; PARTS],
    /// The interfaces, if it has any.
    interfaces: Option<Box<Interfaces<A>, A>>,
    /// The origin, if an engine made the blob.
    #[cfg(feature = "portable")]
    provenance: Option<Provenance>,
    /// The digest of the blob, if the module is an engine.
    #[cfg(feature = "portable")]
    engine_digest: Option<Digest>,
    /// The supervision, if its policy asks for one.
    #[cfg(feature = "supervision")]
    supervision: Option<Box<Supervision<A>, A>>,
}

impl<A: Allocator + Clone> Metadata<A> {
    /// Copies the options and the parts that are needed later, in the order of [`Part`]; the blob only for restarts.
    ///
    /// # Errors
    /// [`LoadError::NoMemory`].
    pub(crate) fn new(
        options: &LoadOptions,
        mut parts: [&[u8]; PARTS],
        interfaces: [&[u8]; 3],
        provenance: Option<&Provenance>,
        allocator: A,
    ) -> Result<Metadata<A>, LoadError> {
        #[cfg(not(feature = "portable"))]
        let _ = provenance;
        #[cfg(feature = "portable")]
        let engine_digest = digest_of_engine(parts[Part::Blob as usize], interfaces[0]);
        if !cfg!(feature = "restart") || options.on_fault == FaultPolicy::Stop {
            parts[Part::Blob as usize] = &[];
        }
        let mut bytes = Vec::new_in(allocator.clone());
        let length = parts.iter().map(|part| part.len()).sum();
        bytes.try_reserve_exact(length).map_err(|_| LoadError::NoMemory)?;
        let mut ends = [0; PARTS];
        for (part, end) in parts.iter().zip(&mut ends) {
            bytes.extend_from_slice(part);
            *end = u32::try_from(bytes.len()).map_err(|_| LoadError::NoMemory)?;
        }
        let interfaces = match interfaces {
            [[], ..] => None,
            records => Some(Interfaces::new(records, options.sample_every, &allocator).ok_or(LoadError::NoMemory)?),
        };
        #[cfg(feature = "supervision")]
        let supervision = if options.on_fault.is_delayed() {
            Some(Supervision::new(options.on_fault, &allocator).ok_or(LoadError::NoMemory)?)
        } else {
            None
        };
        let parts = MetadataParts {
            options: *options,
            bytes,
            ends,
            interfaces,
            #[cfg(feature = "portable")]
            provenance: provenance.copied(),
            #[cfg(feature = "portable")]
            engine_digest,
            #[cfg(feature = "supervision")]
            supervision,
        };
        Ok(Metadata(Some(Box::try_new_in(parts, allocator).map_err(|_| LoadError::NoMemory)?)))
    }
}

impl<A: Allocator> Metadata<A> {
    /// Returns the options that the module was loaded with.
    pub(crate) fn options(&self) -> LoadOptions {
        self.0.as_ref().map_or_else(LoadOptions::default, |parts| parts.options)
    }

    /// Returns the schema of the module's state; empty if it has none.
    pub(crate) fn schema(&self) -> &[u8] {
        self.part(Part::Schema)
    }

    /// Returns the list of modules that it may call; empty if there are none.
    #[inline]
    pub(crate) fn depends(&self) -> &[u8] {
        if cfg!(feature = "depends") { self.part(Part::Depends) } else { &[] }
    }

    /// Returns the number of modules and imports that it may call.
    #[inline]
    pub(crate) fn dependencies(&self) -> u32 {
        let (depends, imports) = (self.depends(), self.interfaces().map_or(0, |interfaces| interfaces.imports.len()));
        imports as u32 + if depends.is_empty() { 0 } else { Dependencies::new(depends).count() as u32 }
    }

    /// Returns the symbols of its code; empty if they are not known.
    pub(crate) fn symbols(&self) -> &[u8] {
        if cfg!(feature = "symbols") { self.part(Part::Symbols) } else { &[] }
    }

    /// Returns the trap sites of its code; empty if there are none.
    fn traps(&self) -> &[u8] {
        self.part(Part::Traps)
    }

    /// Returns the areas of its instance of WebAssembly; empty if it has none.
    #[cfg(feature = "portable")]
    pub(crate) fn carry(&self) -> &[u8] {
        self.part(Part::Carry)
    }

    /// Returns the origin, if an engine made the blob.
    #[cfg(feature = "portable")]
    pub(crate) fn provenance(&self) -> Option<&Provenance> {
        self.0.as_ref()?.provenance.as_ref()
    }

    /// Returns the digest of the blob, if the module is an engine.
    #[cfg(feature = "portable")]
    pub(crate) fn engine_digest(&self) -> Option<Digest> {
        self.0.as_ref()?.engine_digest
    }

    /// Returns the values of its parameters; empty if none was set.
    #[cfg(feature = "parameters")]
    pub(crate) fn values(&self) -> &[u8] {
        self.part(Part::Values)
    }

    /// Returns the lines that set its parameters and bind its imports.
    #[cfg(feature = "parameters")]
    pub(crate) fn lines(&self) -> &str {
        // They were text when they were copied.
        core::str::from_utf8(self.part(Part::Lines)).unwrap_or_default()
    }

    /// Returns the record of its imports and exports; empty if there are none.
    #[inline]
    pub(crate) fn bindings(&self) -> Entries<'_> {
        Entries::new(self.interfaces().map_or(&[], |interfaces| interfaces.bindings()))
    }

    /// Returns the signatures of its methods; empty if they are not known.
    pub(crate) fn signatures(&self) -> &[u8] {
        self.interfaces().map_or(&[], |interfaces| interfaces.signatures())
    }

    /// Returns its imports and the profiles of its functions.
    #[inline]
    pub(crate) fn interfaces(&self) -> Option<&Interfaces<A>> {
        if cfg!(feature = "interfaces") { self.0.as_ref()?.interfaces.as_deref() } else { None }
    }

    /// Returns the record of its supervision.
    #[cfg(feature = "supervision")]
    #[inline]
    pub(crate) fn supervision(&self) -> Option<&Supervision<A>> {
        self.0.as_ref()?.supervision.as_deref()
    }

    /// Returns whether it may call other modules or imports.
    #[inline]
    pub(crate) fn calls_others(&self) -> bool {
        !self.depends().is_empty() || self.has_imports()
    }

    /// Returns whether it has imports.
    #[inline]
    pub(crate) fn has_imports(&self) -> bool {
        self.interfaces().is_some_and(|interfaces| !interfaces.imports.is_empty())
    }

    /// Returns the blob that the module is restarted from; empty if it is never restarted.
    pub(crate) fn blob(&self) -> &[u8] {
        self.part(Part::Blob)
    }

    /// Returns whether a module that replaces this one takes something over: state, or what was set for it.
    pub(crate) fn is_inherited(&self) -> bool {
        !self.schema().is_empty() || !self.part(Part::Lines).is_empty()
    }

    /// Returns whether anything is kept.
    #[inline(always)]
    pub(crate) const fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Returns no metadata.
    #[inline(always)]
    pub(crate) const fn none() -> Metadata<A> {
        Metadata(None)
    }

    /// Returns a part.
    #[inline]
    fn part(&self, part: Part) -> &[u8] {
        let Some(parts) = &self.0 else { return &[] };
        let (part, ends) = (part as usize, &parts.ends);
        let start = if part == 0 { 0 } else { ends[part - 1] };
        parts.bytes.get(start as usize..ends[part] as usize).unwrap_or_default()
    }

    /// Returns the memory that the metadata uses, with the regions that the module owns.
    #[inline(always)]
    pub(crate) fn usage(&self) -> Usage {
        self.0.as_ref().map_or(Usage::default(), |parts| parts.usage())
    }
}

impl<A: Allocator> MetadataParts<A> {
    // Out of line, since most modules have none, and each unload asks.
    #[inline(never)]
    fn usage(&self) -> Usage {
        let interfaces = self.interfaces.as_ref().map_or(Usage::default(), |interfaces| interfaces.usage());
        let table_bytes = (size_of::<MetadataParts<A>>() + self.bytes.len()) as u64 + interfaces.table_bytes;
        #[cfg(feature = "supervision")]
        let table_bytes = table_bytes + self.supervision.as_ref().map_or(0, |supervision| supervision.table_bytes());
        Usage { table_bytes, ..interfaces }
    }
}

/// A [`Fault`] in packed form, in less than half the space; expanded on request.
#[derive(Clone, Copy)]
struct PackedFault {
    address: u64,
    offset: u32,
    /// The kind's number plus one.
    kind: NonZeroU8,
    has_offset: bool,
    has_address: bool,
}

impl From<Fault> for PackedFault {
    fn from(fault: Fault) -> PackedFault {
        // Images end less than four gigabytes from their base.
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

/// The faults and restarts of a module so far.
pub(crate) struct Faults<A: Allocator> {
    last: Cell<Option<PackedFault>>,
    diagnosis: Cell<Option<Box<Diagnosis, A>>>,
    /// The number of faults, less those of functions, which count their own.
    pub(crate) count: Cell<u32>,
    pub(crate) restarts: Cell<u32>,
}

impl<A: Allocator> Faults<A> {
    /// Creates an empty record.
    pub(crate) const fn none() -> Faults<A> {
        Faults { last: Cell::new(None), diagnosis: Cell::new(None), count: Cell::new(0), restarts: Cell::new(0) }
    }

    /// Returns the last fault.
    pub(crate) fn last(&self) -> Option<Fault> {
        self.last.get()?.fault()
    }

    /// Returns the bytes of the loader's tables that the diagnosis uses.
    pub(crate) fn table_bytes(&self) -> u64 {
        let diagnosis = self.diagnosis.take();
        let bytes = if diagnosis.is_some() { size_of::<Diagnosis>() } else { 0 };
        self.diagnosis.set(diagnosis);
        bytes as u64
    }

    /// Records a fault, and counts it by `count`. The diagnosis is lost if there is no memory for it.
    pub(crate) fn note(&self, count: &Cell<u32>, fault: Fault, diagnosis: Option<Diagnosis>, allocator: A) {
        count.set(count.get().saturating_add(1));
        self.last.set(Some(PackedFault::from(fault)));
        self.diagnosis.set(diagnosis.and_then(|diagnosis| Box::try_new_in(diagnosis, allocator).ok()));
    }
}

/// The reason for which a call gave no result, without details.
#[derive(Clone, Copy)]
pub(crate) enum Failure {
    NotLoaded,
    Refused,
    NoRun,
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
