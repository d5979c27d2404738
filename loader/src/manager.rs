//! Last stage: the registry of loaded modules, their calls and their profiles.

use core::cell::{Cell, Ref};

use bareflow_abi::Reason;
use bareflow_abi::header::FLAG_INIT;

use crate::allowed::Allowed;
use crate::budget::Budget;
use crate::depends::{New, depends_bytes};
use crate::error::LoadError;
use crate::fault::Fault;
use crate::module::{Faults, Module, ModuleId, State, copy_to};
use crate::placed::PlacedModule;
use crate::platform::{CallError, Platform};
use crate::policy::{LoadOptions, Placement};
use crate::profile::turns::Turns;
use crate::profile::{ModuleProfile, Recorder, Timing, calibrate};
use crate::raw::RawModule;
use crate::state::{self, Carried, schema_bytes};
use crate::table::Table;
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
    pub(crate) table: Table<P>,
    /// What the module gave back that was retired and went last.
    pub(crate) receipt: Cell<Option<Receipt>>,
    /// The last fault of any call: the module it was may be gone.
    pub(crate) last_fault: Cell<Option<Fault>>,
    /// How many modules there are that may call others.
    pub(crate) bound: Cell<usize>,
    /// How many calls of modules by modules are under way.
    pub(crate) depth: Cell<usize>,
}

/// A module that is ready, in a place that is its own, and not yet to be found.
pub(crate) struct Prepared<P: Platform> {
    pub(crate) index: usize,
    pub(crate) module: Module<P>,
}

impl<P: Platform> ModuleManager<P> {
    /// A manager without modules. Measures the cost of measuring.
    pub fn new(platform: P, timing: Timing) -> ModuleManager<P> {
        ModuleManager {
            overhead: calibrate(&platform, timing),
            timing,
            table: Table::new(&platform.tables()),
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
        let (prepared, _) = self.prepare(blob, options, |module| match self.find(module.name().as_str()) {
            Some(id) => Err(self.already_loaded(id)),
            None => Ok(None),
        })?;
        Ok(self.register(prepared, true))
    }

    /// Does all of a load but the last step. `may_load` has a say between the
    /// checks of the blob itself and the first byte of memory, and names the module whose state the new one takes over.
    pub(crate) fn prepare(
        &self,
        blob: &[u8],
        options: &LoadOptions,
        may_load: impl FnOnce(&ValidModule<'_>) -> Result<Option<ModuleId>, LoadError>,
    ) -> Result<(Prepared<P>, Carried), LoadError> {
        let valid = ValidModule::validate(RawModule::parse(blob)?, Offer::of(&self.platform))?;
        let (declared, allowed) = (Allowed::declared(&valid.raw().header), options.allowed);
        if !declared.beyond(allowed).is_none() {
            return Err(LoadError::NotAllowed { refused: declared.beyond(allowed), allowed });
        }
        let from = may_load(&valid)?;
        self.check_dependencies(&New::of(&valid), from)?;
        if !self.platform.has_domain(options.domain) {
            return Err(LoadError::NoSuchDomain(options.domain));
        }
        // Room first, so that nothing can fail once the module is initialised.
        let name = valid.name();
        let index = self.table.claim(name, &self.platform.tables()).ok_or(LoadError::TableFull)?;
        let module = self.make(&valid, options).inspect_err(|_| self.table.give_back(index, &name))?;
        let begin = || {
            let carried = from.map_or(Ok(Carried::Nothing), |from| self.carry_state(from, &module))?;
            self.initialise(&module, &module.placed)?;
            // Its `init` may have been interrupted by another load.
            self.check_dependencies(&New::from(&module), from)?;
            Ok(carried)
        };
        match begin() {
            Ok(carried) => Ok((Prepared { index, module }, carried)),
            Err(error) => {
                self.discard(Prepared { index, module });
                Err(error)
            }
        }
    }

    /// Takes back what was prepared.
    pub(crate) fn discard(&self, prepared: Prepared<P>) {
        self.table.give_back(prepared.index, &prepared.module.name);
        self.platform.release(prepared.module.placed.image);
    }

    /// Makes a module of a valid one. No code of it has run.
    fn make(&self, valid: &ValidModule<'_>, options: &LoadOptions) -> Result<Module<P>, LoadError> {
        let (raw, tables) = (valid.raw(), self.platform.tables());
        let faults = Faults::new(options.on_fault, raw.blob(), tables.clone()).ok_or(LoadError::TableFull)?;
        let copy = |bytes: &[u8]| copy_to(bytes, tables.clone()).ok_or(LoadError::TableFull);
        let (schema, depends) = (copy(schema_bytes(raw).unwrap_or_default())?, copy(depends_bytes(raw))?);
        let symbols = copy(valid.symbols())?;
        let budget = Budget::of(&raw.header, &options.limits);
        let placement = Placement { domain: options.domain, budget, services: raw.header.services };
        Ok(Module {
            name: valid.name(),
            version: valid.version(),
            generation: 0,
            load: self.table.next_load(),
            flags: raw.header.flags,
            cpu_level: valid.code().header.level,
            code_size: valid.code().text.len() as u64,
            blob_size: raw.blob().len() as u64,
            options: *options,
            placement,
            placed: PlacedModule::place(valid, &placement, &self.platform)?,
            state: Cell::new(State::Ready),
            retired: Cell::new(false),
            listed: Cell::new(false),
            next: Cell::new(None),
            last_result: Cell::new(0),
            turns: Turns::new(options.sample_every),
            schema,
            depends,
            symbols,
            faults,
            recorder: Recorder::new(),
        })
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

    /// Enters a module into the table and has it found by its name, which
    /// now stands for it if it is `active` or nothing else of its name is.
    pub(crate) fn register(&self, prepared: Prepared<P>, active: bool) -> ModuleId {
        let id = self.enter(prepared);
        self.list(id, active);
        id
    }

    /// Enters a module into the table, where nobody finds it by its name.
    pub(crate) fn enter(&self, prepared: Prepared<P>) -> ModuleId {
        let Prepared { index, mut module } = prepared;
        self.count_bound(&module, true);
        let id = ModuleId { index, load: module.load };
        self.table.change(&module.name, |named| {
            named.generation = named.generation.saturating_add(1);
            module.generation = named.generation;
        });
        // The place was claimed for this module: nobody borrows it.
        if let Some(place) = self.table.place(index) {
            place.replace(Some(module));
        }
        id
    }

    /// Has a module found by its name.
    pub(crate) fn list(&self, id: ModuleId, active: bool) {
        let Some(module) = self.get(id) else { return };
        self.table.change(&module.name, |named| {
            if !module.listed.replace(true) {
                module.next.set(named.first);
                named.first = Some(id.index);
            }
            if active || named.active.is_none() {
                named.active = Some(id);
            }
        });
    }

    /// The profile of one module.
    #[must_use]
    pub fn stats(&self, id: ModuleId) -> Option<ModuleProfile> {
        self.get(id).map(|module| self.profile(id, &module))
    }

    /// The profiles of all modules, in the order of their places in the table.
    pub fn profiles(&self) -> impl Iterator<Item = ModuleProfile> {
        self.ids().filter_map(|id| self.stats(id))
    }

    /// How a module was loaded.
    #[must_use]
    pub fn options(&self, id: ModuleId) -> Option<LoadOptions> {
        self.get(id).map(|module| module.options)
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
        self.call_platform(&call, &module.depends, &mut []).map(|returned| returned.outcome.result)
    }

    fn profile(&self, id: ModuleId, module: &Module<P>) -> ModuleProfile {
        let (timed_calls, total_cycles, cycles) = module.recorder.statistics(self.overhead);
        let faults = &module.faults;
        let returned = timed_calls + module.turns.untimed();
        ModuleProfile {
            name: module.name,
            version: module.version,
            generation: module.generation,
            active: self.table.named(&module.name).is_some_and(|named| named.active == Some(id)),
            retired: module.retired.get(),
            domain: module.placement.domain,
            budget: module.placement.budget,
            services: module.placement.services,
            memory: self.held_by(module),
            code_address: module.placed.code_address,
            entry_address: module.placed.entry,
            cpu_level: module.cpu_level,
            code_size: module.code_size,
            blob_size: module.blob_size,
            // The calls that faulted were calls, though they have no figure.
            call_count: returned + u64::from(faults.count.get()),
            timed_calls,
            sample_every: module.turns.every(),
            total_cycles,
            cycles,
            last_result: (returned > 0).then_some(module.last_result.get()),
            stopped: module.state.get() == State::Stopped,
            fault: faults.last.get(),
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
