//! A load, from a blob to a module that can be called.

use core::cell::Cell;
use core::mem::ManuallyDrop;
use core::num::NonZeroU64;

use bareflow_abi::Reason;
use bareflow_abi::header::FLAG_INIT;

use crate::budget::Budget;
use crate::depends::Candidate;
use crate::error::LoadError;
use crate::lifecycle::{Lifecycle, ModuleState};
use crate::manager::ModuleManager;
use crate::module::{Faults, Metadata, Module, ModuleId};
use crate::permissions::Permissions;
use crate::placed::PlacedModule;
use crate::platform::{CallError, Platform};
use crate::policy::{Domain, LoadOptions, Placement};
use crate::profile::ProfileBuffer;
use crate::profile::sampler::Sampler;
use crate::raw::RawModule;
use crate::registry::{NameEntry, Reservation, Slot};
use crate::state::StateTransfer;
use crate::valid::{Capabilities, ValidModule};

/// A module that is ready and not yet to be found.
pub(crate) struct PendingModule<'manager, P: Platform> {
    pub reservation: Reservation<'manager, P>,
    epoch: NonZeroU64,
    /// The module whose state it takes over.
    pub from: Option<ModuleId>,
    /// What became of that state.
    pub state_transfer: StateTransfer,
}

/// What a load does where modules of its name are loaded.
#[derive(Clone, Copy)]
pub(crate) enum IfLoaded {
    /// It is refused where one is active.
    RejectActive,
    /// It is refused where one has the same version.
    RejectSameVersion,
    /// It takes the place of the active one, and takes over its state.
    #[cfg(feature = "reload")]
    Replace,
}

impl<P: Platform> PendingModule<'_, P> {
    /// Its handle.
    pub const fn id(&self) -> ModuleId {
        ModuleId { index: self.reservation.slot.index() as usize, epoch: self.epoch }
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Loads `blob` into the kernel domain, with the usual limits, to be stopped by its first fault.
    ///
    /// # Errors
    /// As [`load_with`](Self::load_with).
    pub fn load(&self, blob: &[u8]) -> Result<ModuleId, LoadError> {
        self.load_with(blob, &LoadOptions::DEFAULT)
    }

    /// Loads `blob`: validates it, places it, calls its `init` if it has one,
    /// and registers it.
    ///
    /// # Errors
    /// The reason for which it is refused; then nothing of it stays behind.
    pub fn load_with(&self, blob: &[u8], options: &LoadOptions) -> Result<ModuleId, LoadError> {
        let pending = self.prepare(blob, options, IfLoaded::RejectActive)?;
        Ok(self.go_live(&pending, Some(true)))
    }

    /// Does all of a load but the last step: the module is ready, in a slot of its own, and not yet to be found.
    #[inline]
    pub(crate) fn prepare(
        &self,
        blob: &[u8],
        options: &LoadOptions,
        if_loaded: IfLoaded,
    ) -> Result<PendingModule<'_, P>, LoadError> {
        let mut valid = ValidModule::supposed(RawModule::parse(blob)?);
        valid.prove(Capabilities::of(&self.platform))?;
        // What a module declares is looked at where not all is allowed.
        let allowed = options.allowed;
        if allowed != Permissions::ALL {
            let refused = Permissions::declared(&valid.raw().header()).difference(allowed);
            if !refused.is_none() {
                return Err(LoadError::NotAllowed { refused, allowed });
            }
        }
        let known = self.registry.name_entry(&valid.name());
        let from = self.check_name_conflict(&valid, known, if_loaded)?;
        self.install(&valid, known, from, options)
    }

    /// May a module meet those of its name, of which that is known? Returns the one whose state it takes over.
    #[inline(always)]
    fn check_name_conflict(
        &self,
        valid: &ValidModule<'_>,
        known: Option<&NameEntry>,
        if_loaded: IfLoaded,
    ) -> Result<Option<ModuleId>, LoadError> {
        let active = known.and_then(|name_entry| name_entry.active.get());
        let same = match if_loaded {
            #[cfg(feature = "reload")]
            IfLoaded::Replace => {
                self.check_dependents(active, || Candidate::of(valid))?;
                return Ok(active);
            }
            IfLoaded::RejectActive => active,
            IfLoaded::RejectSameVersion => {
                let version = valid.version();
                self.find_version_of(known, |other| *other == version)
            }
        };
        same.map_or(Ok(None), |same| Err(self.already_loaded(same)))
    }

    /// The part of a load behind all that its blob, and its name, alone tell.
    #[inline(always)]
    fn install<'manager>(
        &'manager self,
        valid: &ValidModule<'_>,
        known: Option<&'manager NameEntry>,
        from: Option<ModuleId>,
        options: &LoadOptions,
    ) -> Result<PendingModule<'manager, P>, LoadError> {
        if valid.calls_others() {
            self.check_dependencies(&Candidate::of(valid), from)?;
        }
        if !self.platform.has_domain(options.domain) {
            return Err(LoadError::NoSuchDomain(options.domain));
        }
        // Room first, so that nothing can fail once the module is initialised.
        let (name, allocator) = (valid.name(), self.platform.allocator());
        let reservation = self.registry.reserve(known, &name, &allocator).ok_or(LoadError::NoMemory)?;
        let epoch = self.registry.next_epoch();
        self.make(valid, options, &reservation, epoch)
            .inspect_err(|_| self.registry.release(reservation.slot, Some(reservation.name_entry)))?;
        let mut pending = PendingModule { reservation, epoch, from, state_transfer: StateTransfer::Nothing };
        match self.make_ready(&pending) {
            Ok(state_transfer) => pending.state_transfer = state_transfer,
            Err(error) => return Err(self.discard(&pending, error)),
        }
        Ok(pending)
    }

    /// Initialises a module that was just made.
    #[inline(always)]
    fn make_ready(&self, pending: &PendingModule<'_, P>) -> Result<StateTransfer, LoadError> {
        let from = pending.from;
        // Nobody else knows of it.
        let Some(module) = pending.reservation.slot.module() else { return Err(LoadError::CandidateGone) };
        let state_transfer = match from {
            Some(from) if cfg!(feature = "reload") => self.transfer_state(from, &module)?,
            _ => StateTransfer::Nothing,
        };
        if module.flags & FLAG_INIT != 0 {
            self.initialise(&module, &module.placed)?;
        }
        // Its `init` may have been interrupted by another load.
        if !module.metadata.depends().is_empty() {
            self.check_dependencies(&Candidate::from(&*module), from)?;
        }
        Ok(state_transfer)
    }

    /// Takes back what was prepared, for that reason.
    #[cold]
    pub(crate) fn discard(&self, pending: &PendingModule<'_, P>, error: LoadError) -> LoadError {
        let Reservation { slot, name_entry } = pending.reservation;
        if let Some(module) = slot.take() {
            self.registry.release(slot, Some(name_entry));
            self.release(module.placed.image);
        }
        error
    }

    /// Makes a module of a valid one, in its slot. No code of it has run.
    #[inline(always)]
    fn make(
        &self,
        valid: &ValidModule<'_>,
        options: &LoadOptions,
        reservation: &Reservation<'_, P>,
        epoch: NonZeroU64,
    ) -> Result<(), LoadError> {
        let (raw, allocator) = (valid.raw(), self.platform.allocator());
        let metadata = Metadata::new(valid, options, allocator).ok_or(LoadError::NoMemory)?;
        let budget = Budget::of(&raw.header(), &options.limits);
        let placement = Placement { domain: options.domain, budget, services: raw.header().services };
        // Nobody borrows an empty slot.
        let Some(mut slot) = reservation.slot.try_borrow_mut() else { return Err(LoadError::NoMemory) };
        let placed = PlacedModule::place(valid, &placement, &self.platform)?;
        *slot = Some(ManuallyDrop::new(Module {
            name: valid.name(),
            version: valid.version(),
            generation: Cell::new(0),
            epoch: Cell::new(Some(epoch)),
            name_index: reservation.name_entry.index(),
            flags: raw.header().flags,
            cpu_level: valid.code().header.level,
            lifecycle: Lifecycle::loading(options.domain != Domain::Kernel || valid.calls_others()),
            published: Cell::new(false),
            last_result: Cell::new(0),
            code_size: valid.code().header.text_size,
            entry: valid.code().header.entry,
            blob_size: raw.blob().len() as u64,
            placement,
            placed,
            sampler: Sampler::new(options.sample_every),
            metadata,
            faults: Faults::none(),
            profile_buffer: ProfileBuffer::new(),
        }));
        Ok(())
    }

    /// Makes a pending module one that can be called, and publishes it if it is to be
    /// `published`. The name then stands for it if that says so, or if it stands for nothing yet. Returns its handle.
    #[inline]
    pub(crate) fn go_live(&self, pending: &PendingModule<'_, P>, published: Option<bool>) -> ModuleId {
        let Reservation { slot, name_entry } = pending.reservation;
        if let Some(module) = slot.module() {
            self.count_module(&module, true);
            let generation = name_entry.generation.get().saturating_add(1);
            name_entry.generation.set(generation);
            module.generation.set(generation);
            if let Some(active) = published {
                self.publish(slot, &module, name_entry, active);
            }
            module.lifecycle.set(ModuleState::Live);
        }
        pending.id()
    }

    /// Has a module found by its name, which stands for it from now on if that says so, or if it stood for nothing.
    pub(crate) fn publish(&self, slot: &Slot<P>, module: &Module<P>, name_entry: &NameEntry, active: bool) {
        if !module.published.replace(true) {
            self.registry.link(slot, name_entry);
        }
        if let (Some(epoch), true) = (module.epoch.get(), active || name_entry.active.get().is_none()) {
            name_entry.active.set(Some(ModuleId { index: slot.index() as usize, epoch }));
        }
    }

    /// Calls a module's `init`, if it has one, in that image.
    pub(crate) fn initialise(&self, module: &Module<P>, placed: &PlacedModule<P::Image>) -> Result<(), LoadError> {
        if module.flags & FLAG_INIT == 0 {
            return Ok(());
        }
        match self.call_in(module, placed, Reason::Init) {
            Ok(0) => Ok(()),
            Ok(result) => Err(LoadError::InitFailed { result }),
            Err(CallError::Fault(fault)) => Err(LoadError::InitFaulted(fault)),
            Err(CallError::NoMemory) => Err(LoadError::NoMemoryForInit),
        }
    }
}
