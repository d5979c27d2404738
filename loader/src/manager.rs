//! Last stage: the registry of loaded modules, their calls and their profiles.

use core::cell::{Cell, RefCell};

use allocator_api2::vec::Vec;
use bareflow_abi::Reason;
use bareflow_abi::header::{FLAG_EXIT, FLAG_INIT};
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::budget::Budget;
use crate::error::{ExecuteError, LoadError};
use crate::fault::Fault;
use crate::module::{Faults, Module, ModuleId, State};
use crate::name::Name;
use crate::placed::PlacedModule;
use crate::platform::{Call, CallError, Platform};
use crate::policy::{LoadOptions, Placement};
use crate::profile::{ModuleProfile, Recorder, Timing, calibrate};
use crate::raw::RawModule;
use crate::valid::{Offer, ValidModule};

/// What is known of a name.
#[derive(Clone, Copy)]
struct Named {
    /// The module loaded under it.
    current: Option<ModuleId>,
    /// How many loads of it there were.
    generation: u32,
}

/// All loaded modules of one [`Platform`].
pub struct ModuleManager<P: Platform> {
    pub(crate) platform: P,
    pub(crate) timing: Timing,
    overhead: u64,
    loads: u64,
    modules: Vec<Option<Module<P>>, P::Tables>,
    /// Places in `modules` that are free again; there is always room for all of them.
    vacant: Vec<usize, P::Tables>,
    names: HashMap<Name, Named, FxBuildHasher, P::Tables>,
}

impl<P: Platform> ModuleManager<P> {
    /// A manager without modules. Measures the cost of measuring.
    pub fn new(platform: P, timing: Timing) -> ModuleManager<P> {
        ModuleManager {
            overhead: calibrate(&platform, timing),
            timing,
            loads: 0,
            modules: Vec::new_in(platform.tables()),
            vacant: Vec::new_in(platform.tables()),
            names: HashMap::with_hasher_in(FxBuildHasher, platform.tables()),
            platform,
        }
    }

    /// Loads `blob` into the kernel domain, with the usual limits, to be stopped by its first fault.
    ///
    /// # Errors
    /// As [`load_with`](Self::load_with).
    pub fn load(&mut self, blob: &[u8]) -> Result<ModuleId, LoadError> {
        self.load_with(blob, &LoadOptions::default())
    }

    /// Loads `blob`: validates it, places it, calls its `init` if it has one,
    /// and registers it.
    ///
    /// # Errors
    /// The reason for which it is refused; then nothing of it stays behind.
    pub fn load_with(&mut self, blob: &[u8], options: &LoadOptions) -> Result<ModuleId, LoadError> {
        let module = ValidModule::validate(RawModule::parse(blob)?, Offer::of(&self.platform))?;
        let name = module.name();
        if let Some(version) = self.find(name.as_str()).and_then(|id| self.get(id)).map(|loaded| loaded.version) {
            return Err(LoadError::AlreadyLoaded { name, version });
        }
        if !self.platform.has_domain(options.domain) {
            return Err(LoadError::NoSuchDomain(options.domain));
        }
        // Room first, so that nothing can fail once the module is initialised.
        self.modules.try_reserve(1).map_err(|_| LoadError::TableFull)?;
        let places = self.modules.len() + 1 - self.vacant.len();
        self.vacant.try_reserve(places).map_err(|_| LoadError::TableFull)?;
        self.names.try_reserve(1).map_err(|_| LoadError::TableFull)?;
        let faults = Faults::new(options.on_fault, blob, self.platform.tables()).ok_or(LoadError::TableFull)?;
        let budget = Budget::of(&module.raw().header, &options.limits);
        let placement = Placement { domain: options.domain, budget };
        let placed = self.place(&module, &placement)?;
        Ok(self.register(&module, placed, placement, faults))
    }

    /// Gives `module` memory and calls its `init`.
    pub(crate) fn place(
        &self,
        module: &ValidModule<'_>,
        placement: &Placement,
    ) -> Result<PlacedModule<P::Image>, LoadError> {
        let placed = PlacedModule::place(module, placement, &self.platform)?;
        match self.initialise(module, &placed) {
            Ok(()) => Ok(placed),
            Err(error) => {
                self.platform.release(placed.image);
                Err(error)
            }
        }
    }

    /// The module loaded under `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<ModuleId> {
        self.names.get(&Name::new(name)?)?.current
    }

    /// Unloads a module: calls its `exit` if it has one and takes its memory
    /// back. The fault of an `exit` that went wrong is returned; the module is
    /// gone all the same.
    ///
    /// # Errors
    /// When there is no such module, or it is running.
    pub fn unload(&mut self, id: ModuleId) -> Result<Option<Fault>, ExecuteError> {
        let module = self.get(id).ok_or(ExecuteError::NotLoaded)?;
        if module.state.get() == State::Running {
            return Err(ExecuteError::Busy);
        }
        let exits = module.flags & FLAG_EXIT != 0 && module.state.get() == State::Ready;
        let result = if exits { self.call(&module.name, &module.placed.borrow(), Reason::Exit) } else { Ok(0) };
        if let Some(module) = self.modules.get_mut(id.index).and_then(Option::take) {
            self.vacant.push(id.index);
            if let Some(named) = self.names.get_mut(&module.name) {
                named.current = None;
            }
            self.platform.release(module.placed.into_inner().image);
        }
        match result {
            Err(CallError::Fault(fault)) => Ok(Some(fault)),
            _ => Ok(None),
        }
    }

    /// The profile of one module.
    #[must_use]
    pub fn stats(&self, id: ModuleId) -> Option<ModuleProfile> {
        self.get(id).map(|module| self.profile(module))
    }

    /// The profiles of all modules, in the order of their places in the table.
    pub fn profiles(&self) -> impl Iterator<Item = ModuleProfile> {
        self.modules.iter().flatten().map(|module| self.profile(module))
    }

    /// Shows `look` the image of a module, for an embedder that inspects its own memory.
    pub fn with_image<T>(&self, id: ModuleId, look: impl FnOnce(&P::Image) -> T) -> Option<T> {
        Some(look(&self.get(id)?.placed.borrow().image))
    }

    /// The handles of all modules, in the order of their places in the table.
    pub fn ids(&self) -> impl Iterator<Item = ModuleId> {
        let places = self.modules.iter().enumerate();
        places.filter_map(|(index, module)| Some(ModuleId { index, load: module.as_ref()?.load }))
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

    #[inline]
    pub(crate) fn get(&self, id: ModuleId) -> Option<&Module<P>> {
        self.modules.get(id.index)?.as_ref().filter(|module| module.load == id.load)
    }

    fn initialise(&self, module: &ValidModule<'_>, placed: &PlacedModule<P::Image>) -> Result<(), LoadError> {
        if module.raw().header.flags & FLAG_INIT == 0 {
            return Ok(());
        }
        match self.call(&module.name(), placed, Reason::Init) {
            Ok(0) => Ok(()),
            Ok(result) => Err(LoadError::InitFailed { result }),
            Err(CallError::Fault(fault)) => Err(LoadError::InitFaulted(fault)),
            Err(CallError::NoMemory) => Err(LoadError::NoMemoryForInit),
        }
    }

    /// Calls a module outside of its profile.
    fn call(&self, name: &Name, placed: &PlacedModule<P::Image>, reason: Reason) -> Result<i32, CallError> {
        let (image, entry, timing) = (&placed.image, placed.entry, self.timing);
        let call = Call { module: name, image, entry, reason, input: &[], timing };
        self.platform.call(&call, &mut []).map(|returned| returned.outcome.result)
    }

    /// Enters a module into the tables, which have room for it.
    fn register(
        &mut self,
        valid: &ValidModule<'_>,
        placed: PlacedModule<P::Image>,
        placement: Placement,
        faults: Faults<P::Tables>,
    ) -> ModuleId {
        let name = valid.name();
        self.loads += 1;
        let index = self.vacant.pop().unwrap_or(self.modules.len());
        let id = ModuleId { index, load: self.loads };
        let named = self.names.entry(name).or_insert(Named { current: None, generation: 0 });
        named.current = Some(id);
        named.generation = named.generation.saturating_add(1);
        let raw = valid.raw();
        let module = Module {
            name,
            version: valid.version(),
            generation: named.generation,
            load: id.load,
            flags: raw.header.flags,
            code_size: raw.text.len() as u64,
            blob_size: raw.blob().len() as u64,
            placement,
            placed: RefCell::new(placed),
            state: Cell::new(State::Ready),
            last_result: Cell::new(None),
            faults,
            recorder: Recorder::new(),
        };
        match self.modules.get_mut(id.index) {
            Some(place) => *place = Some(module),
            None => self.modules.push(Some(module)),
        }
        id
    }

    fn profile(&self, module: &Module<P>) -> ModuleProfile {
        let (call_count, total_cycles, cycles) = module.recorder.statistics(self.overhead);
        let faults = &module.faults;
        let (code_address, entry_address) = {
            let placed = module.placed.borrow();
            (placed.code_address, placed.entry)
        };
        ModuleProfile {
            name: module.name,
            version: module.version,
            generation: module.generation,
            domain: module.placement.domain,
            budget: module.placement.budget,
            code_address,
            entry_address,
            code_size: module.code_size,
            blob_size: module.blob_size,
            // The calls that faulted were calls, though they have no figure.
            call_count: call_count + u64::from(faults.count.get()),
            total_cycles,
            cycles,
            last_result: module.last_result.get(),
            stopped: module.state.get() == State::Stopped,
            fault: faults.last.get(),
            faults: faults.count.get(),
            restarts: faults.restarts.get(),
        }
    }
}

impl<P: Platform> Drop for ModuleManager<P> {
    fn drop(&mut self) {
        for index in 0..self.modules.len() {
            if let Some(module) = self.modules.get_mut(index).and_then(Option::take) {
                self.platform.release(module.placed.into_inner().image);
            }
        }
    }
}

#[cfg(test)]
#[path = "manager_tests.rs"]
mod tests;
