//! Last stage: the registry of loaded modules, their calls and their profiles.

use core::cell::{Cell, Ref};
use core::num::NonZeroU64;

use bareflow_abi::Reason;
use bareflow_abi::header::FLAG_INIT;

use crate::allowed::Allowed;
use crate::budget::Budget;
use crate::depends::New;
use crate::error::LoadError;
use crate::fault::Fault;
use crate::module::{Faults, Kept, Module, ModuleId};
use crate::placed::PlacedModule;
use crate::platform::{CallError, Platform, Usage};
use crate::policy::{Domain, LoadOptions, Placement};
use crate::profile::turns::Turns;
use crate::profile::{ModuleProfile, Recorder, Snapshot, Spare, Timing, calibrate, step};
use crate::raw::RawModule;
use crate::standing::{Standing, State};
use crate::state::{self, Carried};
use crate::table::{Claim, Named, Place, Table};
use crate::unload::Receipt;
use crate::valid::{Offer, ValidModule};

/// All loaded modules of one [`Platform`].
///
/// Everything works through `&self`: a platform may load, replace or unload
/// modules from inside a call.
pub struct ModuleManager<P: Platform> {
    pub(crate) platform: P,
    pub(crate) timing: Timing,
    overhead: u64,
    step: u64,
    pub(crate) table: Table<P>,
    pub(crate) spare: Spare<P::Tables>,
    /// What the module gave back that was retired and went last.
    pub(crate) receipt: Cell<Option<Receipt>>,
    /// The last fault of any call: the module it was may be gone.
    pub(crate) last_fault: Cell<Option<Fault>>,
    /// How many modules there are that may call others.
    pub(crate) bound: Cell<usize>,
    /// How many calls of modules by modules are under way.
    pub(crate) depth: Cell<usize>,
}

/// A module that is ready and not yet to be found.
pub(crate) struct Prepared<'manager, P: Platform> {
    pub claim: Claim<'manager, P>,
    load: NonZeroU64,
    /// What became of the state that it takes over.
    pub carried: Carried,
}

impl<P: Platform> Prepared<'_, P> {
    /// Its handle.
    pub const fn id(&self) -> ModuleId {
        ModuleId { index: self.claim.place.index() as usize, load: self.load }
    }
}

impl<P: Platform> ModuleManager<P> {
    /// A manager without modules. Measures the cost of measuring.
    pub fn new(platform: P, timing: Timing) -> ModuleManager<P> {
        ModuleManager {
            overhead: calibrate(&platform, timing),
            step: step(&platform),
            timing,
            table: Table::new(&platform.tables()),
            spare: Spare::new(),
            receipt: Cell::new(None),
            last_fault: Cell::new(None),
            bound: Cell::new(0),
            depth: Cell::new(0),
            platform,
        }
    }

    /// Loads `blob` into the kernel domain, with the usual limits, to be stopped by its first fault.
    ///
    /// # Errors
    /// As [`load_with`](Self::load_with).
    pub fn load(&self, blob: &[u8]) -> Result<ModuleId, LoadError> {
        self.load_with(blob, &LoadOptions::default())
    }

    /// Loads `blob`: validates it, places it, calls its `init` if it has one,
    /// and registers it.
    ///
    /// # Errors
    /// The reason for which it is refused; then nothing of it stays behind.
    pub fn load_with(&self, blob: &[u8], options: &LoadOptions) -> Result<ModuleId, LoadError> {
        let prepared = self.prepare(blob, options, |_, named| match named.and_then(|named| named.active.get()) {
            Some(id) => Err(self.already_loaded(id)),
            None => Ok(None),
        })?;
        Ok(self.enter(&prepared, Some(true)))
    }

    /// Does all of a load but the last step: the module is ready, in a place that is its own, and not yet to be found.
    /// `may_load` has a say between the checks of the blob itself and the first byte of memory, knows what is known of
    /// its name, and says which module's state the new one takes over.
    #[inline(always)]
    pub(crate) fn prepare(
        &self,
        blob: &[u8],
        options: &LoadOptions,
        may_load: impl FnOnce(&ValidModule<'_>, Option<&Named>) -> Result<Option<ModuleId>, LoadError>,
    ) -> Result<Prepared<'_, P>, LoadError> {
        let mut valid = ValidModule::supposed(RawModule::parse(blob)?);
        valid.prove(Offer::of(&self.platform))?;
        let (declared, allowed) = (Allowed::declared(&valid.raw().header()), options.allowed);
        if !declared.beyond(allowed).is_none() {
            return Err(LoadError::NotAllowed { refused: declared.beyond(allowed), allowed });
        }
        let known = self.table.named(&valid.name());
        let from = may_load(&valid, known)?;
        self.install(&valid, known, from, options)
    }

    /// The part of a load behind all that its blob alone tells.
    #[inline(never)]
    fn install<'manager>(
        &'manager self,
        valid: &ValidModule<'_>,
        known: Option<&'manager Named>,
        from: Option<ModuleId>,
        options: &LoadOptions,
    ) -> Result<Prepared<'manager, P>, LoadError> {
        if cfg!(feature = "depends") && !valid.parts().depends.is_empty() {
            self.check_dependencies(&New::of(valid), from)?;
        }
        if !self.platform.has_domain(options.domain) {
            return Err(LoadError::NoSuchDomain(options.domain));
        }
        // Room first, so that nothing can fail once the module is initialised.
        let (name, tables) = (valid.name(), self.platform.tables());
        let claim = self.table.claim(known, &name, &tables).ok_or(LoadError::TableFull)?;
        let load = self.table.next_load();
        self.make(valid, options, &claim, load)
            .inspect_err(|_| self.table.give_back(claim.place, Some(claim.named)))?;
        let mut prepared = Prepared { claim, load, carried: Carried::Nothing };
        match self.make_ready(&prepared, from) {
            Ok(carried) => prepared.carried = carried,
            Err(error) => return Err(self.discard(&prepared, error)),
        }
        Ok(prepared)
    }

    /// Initialises a module that was just made.
    #[inline(always)]
    fn make_ready(&self, prepared: &Prepared<'_, P>, from: Option<ModuleId>) -> Result<Carried, LoadError> {
        // Nobody else knows of it.
        let Some(module) = prepared.claim.place.module() else { return Err(LoadError::CandidateGone) };
        let carried = from.map_or(Ok(Carried::Nothing), |from| self.carry_state(from, &module))?;
        self.initialise(&module, &module.placed)?;
        // Its `init` may have been interrupted by another load.
        if !module.kept.depends().is_empty() {
            self.check_dependencies(&New::from(&*module), from)?;
        }
        Ok(carried)
    }

    /// Takes back what was prepared, for that reason.
    #[cold]
    pub(crate) fn discard(&self, prepared: &Prepared<'_, P>, error: LoadError) -> LoadError {
        let Claim { place, named } = prepared.claim;
        if let Some(module) = place.empty() {
            self.table.give_back(place, Some(named));
            self.platform.release(module.placed.image);
        }
        error
    }

    /// Makes a module of a valid one, in its place. No code of it has run.
    #[inline(always)]
    fn make(
        &self,
        valid: &ValidModule<'_>,
        options: &LoadOptions,
        claim: &Claim<'_, P>,
        load: NonZeroU64,
    ) -> Result<(), LoadError> {
        let (raw, tables) = (valid.raw(), self.platform.tables());
        let kept = Kept::new(valid, options, tables).ok_or(LoadError::TableFull)?;
        let budget = Budget::of(&raw.header(), &options.limits);
        let placement = Placement { domain: options.domain, budget, services: raw.header().services };
        // Nobody borrows an empty place.
        let Some(mut place) = claim.place.change() else { return Err(LoadError::TableFull) };
        let placed = PlacedModule::place(valid, &placement, &self.platform)?;
        *place = Some(Module {
            name: valid.name(),
            version: valid.version(),
            generation: Cell::new(0),
            load: Cell::new(Some(load)),
            named: claim.named.index(),
            flags: raw.header().flags,
            cpu_level: valid.code().header.level,
            standing: Standing::preparing(options.domain != Domain::Kernel || !valid.parts().depends.is_empty()),
            listed: Cell::new(false),
            last_result: Cell::new(0),
            code_size: valid.code().header.text_size,
            entry: valid.code().header.entry,
            blob_size: raw.blob().len() as u64,
            placement,
            placed,
            turns: Turns::new(options.sample_every),
            kept,
            faults: Faults::none(),
            recorder: Recorder::new(),
        });
        Ok(())
    }

    /// Gives the blob of `module` memory once more and calls its `init`.
    pub(crate) fn place(
        &self,
        valid: &ValidModule<'_>,
        module: &Module<P>,
    ) -> Result<PlacedModule<P::Image>, LoadError> {
        let placed = PlacedModule::place(valid, &module.placement, &self.platform)?;
        match self.initialise(module, &placed) {
            Ok(()) => Ok(placed),
            Err(error) => {
                self.platform.release(placed.image);
                Err(error)
            }
        }
    }

    /// Enters a module that was prepared among those that can be called, and has it found by its name if it is to be
    /// `listed`. The name then stands for it if that says so, or if it stands for nothing yet. Returns its handle.
    #[inline]
    pub(crate) fn enter(&self, prepared: &Prepared<'_, P>, listed: Option<bool>) -> ModuleId {
        let Claim { place, named } = prepared.claim;
        if let Some(module) = place.module() {
            self.count_bound(&module, true);
            let generation = named.generation.get().saturating_add(1);
            named.generation.set(generation);
            module.generation.set(generation);
            if let Some(active) = listed {
                self.list(place, &module, named, active);
            }
            module.standing.set(State::Ready);
        }
        prepared.id()
    }

    /// Has a module found by its name, which stands for it from now on if that says so, or if it stood for nothing.
    pub(crate) fn list(&self, place: &Place<P>, module: &Module<P>, named: &Named, active: bool) {
        if !module.listed.replace(true) {
            self.table.link(place, named);
        }
        if let (Some(load), true) = (module.load.get(), active || named.active.get().is_none()) {
            named.active.set(Some(ModuleId { index: place.index() as usize, load }));
        }
    }

    /// What is known of a module's name.
    #[inline]
    pub(crate) fn named(&self, module: &Module<P>) -> Option<&Named> {
        self.table.names.get(module.named)
    }

    /// The profile of one module.
    #[must_use]
    pub fn stats(&self, id: ModuleId) -> Option<ModuleProfile> {
        self.get(id).map(|module| self.profile(id, &module))
    }

    /// All readings of one module, to be merged with those of other threads or processors; `None` where it is gone, or
    /// was never called.
    #[must_use]
    pub fn snapshot(&self, id: ModuleId) -> Option<Snapshot> {
        let module = self.get(id)?;
        module.recorder.snapshot(module.call_count())
    }

    /// The profiles of all modules, in the order of their places in the table.
    pub fn profiles(&self) -> impl Iterator<Item = ModuleProfile> {
        self.ids().filter_map(|id| self.stats(id))
    }

    /// How a module was loaded.
    #[must_use]
    pub fn options(&self, id: ModuleId) -> Option<LoadOptions> {
        self.get(id).map(|module| module.kept.options())
    }

    /// Shows `look` the image of a module, for an embedder that inspects its own memory.
    pub fn with_image<T>(&self, id: ModuleId, look: impl FnOnce(&P::Image) -> T) -> Option<T> {
        Some(look(&self.get(id)?.placed.image))
    }

    /// The handles of all modules, in the order of their places in the table.
    pub fn ids(&self) -> impl Iterator<Item = ModuleId> {
        self.table.ids()
    }

    /// How the clock is read around calls.
    #[must_use]
    pub const fn timing(&self) -> Timing {
        self.timing
    }

    /// What reading the clock twice costs, in cycles: part of every raw figure.
    #[must_use]
    pub const fn call_overhead_cycles(&self) -> u64 {
        self.overhead
    }

    /// The clock's step, in cycles: figures that differ by less do not differ, and what takes less is not resolved.
    #[must_use]
    pub const fn clock_step_cycles(&self) -> u64 {
        self.step
    }

    /// What all images, and the tables but for what is kept for the next module, take now; `None` where the platform
    /// does not count.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        let spare = Usage { table_bytes: self.spare.table_bytes(), ..Usage::default() };
        Some(self.platform.usage()?.less(spare))
    }

    /// The platform.
    #[must_use]
    pub const fn platform(&self) -> &P {
        &self.platform
    }

    pub(crate) fn get(&self, id: ModuleId) -> Option<Ref<'_, Module<P>>> {
        self.table.get(id)
    }

    /// Calls a module's `init`, if it has one, in that image.
    fn initialise(&self, module: &Module<P>, placed: &PlacedModule<P::Image>) -> Result<(), LoadError> {
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

    /// Calls a module outside of its profile.
    pub(crate) fn call(&self, module: &Module<P>, reason: Reason) -> Result<i32, CallError> {
        self.call_in(module, &module.placed, reason)
    }

    /// The same, in that image.
    fn call_in(&self, module: &Module<P>, placed: &PlacedModule<P::Image>, reason: Reason) -> Result<i32, CallError> {
        let call = state::call(module, placed, reason, &[], self.timing);
        self.call_bound_or_not(&call, module.kept.depends(), &mut []).map(|returned| returned.outcome.result)
    }

    fn profile(&self, id: ModuleId, module: &Module<P>) -> ModuleProfile {
        let faults = &module.faults;
        let snapshot = module.recorder.snapshot(0);
        let timed_calls = snapshot.as_ref().map_or(0, Snapshot::timed_calls);
        let returned = timed_calls + module.turns.untimed();
        ModuleProfile {
            name: module.name,
            version: module.version,
            generation: module.generation.get(),
            active: self.named(module).is_some_and(|named| named.active.get() == Some(id)),
            retired: module.standing.is_retired(),
            domain: module.placement.domain,
            budget: module.placement.budget,
            services: module.placement.services,
            memory: self.held_by(module),
            code_address: module.placed.entry.wrapping_sub(module.entry.into()),
            entry_address: module.placed.entry,
            cpu_level: module.cpu_level,
            code_size: module.code_size.into(),
            blob_size: module.blob_size,
            // The calls that faulted were calls, though they have no figure.
            call_count: returned + u64::from(faults.count.get()),
            timed_calls,
            sample_every: module.turns.every(),
            total_cycles: snapshot.as_ref().map_or(0, Snapshot::total_cycles),
            cycles: snapshot.and_then(|snapshot| snapshot.statistics(self.overhead)),
            last_result: (returned > 0).then_some(module.last_result.get()),
            stopped: module.standing.state() == State::Stopped,
            fault: faults.last(),
            faults: faults.count.get(),
            restarts: faults.restarts.get(),
        }
    }
}

impl<P: Platform> Drop for ModuleManager<P> {
    fn drop(&mut self) {
        for module in self.table.drain() {
            self.platform.release(module.placed.image);
        }
    }
}

#[cfg(test)]
#[path = "manager_tests.rs"]
mod tests;
