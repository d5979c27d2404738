//! A loaded module: its properties, its lifecycle state, and the results of its calls.

pub(crate) mod faults;
pub(crate) mod interfaces;
pub mod lifecycle;
pub(crate) mod metadata;
#[cfg(feature = "supervision")]
pub mod notice;
pub mod placed;
pub mod receipt;
#[cfg(feature = "supervision")]
pub(crate) mod supervision;

use core::cell::Cell;
use core::num::NonZeroU64;

use bareflow_abi::Reason;
use bareflow_abi::header::{FLAG_NO_RUN, FLAG_REENTRANT};

use crate::diagnosis::{Diagnosis, InFunction};
use crate::fault::Fault;
use crate::format::valid::ValidModule;
use crate::module::faults::Faults;
use crate::module::lifecycle::{Lifecycle, ModuleState};
use crate::module::metadata::Metadata;
use crate::module::placed::PlacedModule;
use crate::name::{Name, Version};
use crate::platform::{Call, CallFailure, Platform};
use crate::policy::{Domain, LoadOptions, Placement};
use crate::profile::sampler::Sampler;
use crate::profile::{ProfileBuffer, Timing, Usage};

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
            lifecycle: Lifecycle::loading(placement.domain != Domain::Kernel || valid.is_slow_path_only()),
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
            caller: 0,
        }
    }

    /// Returns the domain that it runs in; the sandbox if it is there with the embedder's privileges.
    pub(crate) fn domain(&self) -> Domain {
        let is_sandboxed = self.placement.domain == Domain::Kernel && self.metadata.options().domain == Domain::Sandbox;
        if is_sandboxed { Domain::Sandbox } else { self.placement.domain }
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
