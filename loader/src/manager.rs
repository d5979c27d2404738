//! Last stage: the registry of loaded modules, their calls and their profiles.

use core::cell::Cell;

use allocator_api2::vec::Vec;
use bareflow_abi::header::{FLAG_EXIT, FLAG_INIT, FLAG_REENTRANT};
use bareflow_abi::{Context, Reason};
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::error::{ExecuteError, LoadError};
use crate::fault::Fault;
use crate::module::{Domain, Failure, Module, ModuleId, Outcome, State};
use crate::name::Name;
use crate::placed::PlacedModule;
use crate::platform::{Call, Platform};
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
    platform: P,
    timing: Timing,
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

    /// Loads `blob`: validates it, places it, calls its `init` if it has one,
    /// and registers it.
    ///
    /// # Errors
    /// The reason for which it is refused; then nothing of it stays behind.
    pub fn load(&mut self, blob: &[u8]) -> Result<ModuleId, LoadError> {
        let module = ValidModule::validate(RawModule::parse(blob)?, Offer::of(&self.platform))?;
        let name = module.name();
        if let Some(version) = self.find(name.as_str()).and_then(|id| self.get(id)).map(|loaded| loaded.version) {
            return Err(LoadError::AlreadyLoaded { name, version });
        }
        // Room first, so that nothing can fail once the module is initialised.
        self.modules.try_reserve(1).map_err(|_| LoadError::TableFull)?;
        let places = self.modules.len() + 1 - self.vacant.len();
        self.vacant.try_reserve(places).map_err(|_| LoadError::TableFull)?;
        self.names.try_reserve(1).map_err(|_| LoadError::TableFull)?;
        let placed = PlacedModule::place(&module, &self.platform)?;
        if let Err(error) = self.initialise(&module, &placed) {
            self.platform.release(placed.image);
            return Err(error);
        }
        Ok(self.register(&module, placed))
    }

    /// The module loaded under `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<ModuleId> {
        self.names.get(&Name::new(name)?)?.current
    }

    /// Calls a module without input or output and profiles the call.
    ///
    /// # Errors
    /// The reason for which there is no result.
    #[inline]
    pub fn execute(&self, id: ModuleId) -> Result<i32, ExecuteError> {
        match self.attempt(id, &[], &mut []) {
            Ok(outcome) => Ok(outcome.result),
            Err(failure) => Err(self.explain(id, failure)),
        }
    }

    /// Calls a module with `input`, lets it write to `output`, and profiles the call.
    ///
    /// # Errors
    /// The reason for which there is no result.
    #[inline]
    pub fn execute_with(&self, id: ModuleId, input: &[u8], output: &mut [u8]) -> Result<Outcome, ExecuteError> {
        match self.attempt(id, input, output) {
            Ok(outcome) => Ok(outcome),
            Err(failure) => Err(self.explain(id, failure)),
        }
    }

    /// Calls a module. What comes of it fits into registers: the errors' details are left where they are.
    #[inline(always)]
    fn attempt(&self, id: ModuleId, input: &[u8], output: &mut [u8]) -> Result<Outcome, Failure> {
        let Some(module) = self.get(id) else { return Err(Failure::NotLoaded) };
        let state = module.state.get();
        if state != State::Ready && !(state == State::Running && module.flags & FLAG_REENTRANT != 0) {
            return Err(Failure::Refused);
        }
        let Some(samples) = module.recorder.samples(|| self.platform.tables()) else {
            return Err(Failure::ProfileFull);
        };

        let capacity = output.len();
        let mut context = Context::new(self.platform.services(), input, output);
        let call = module.call(Reason::Run);
        module.state.set(State::Running);
        let start = self.timing.now(&self.platform);
        let result = self.platform.call(&call, &mut context);
        let cycles = self.timing.now(&self.platform).saturating_sub(start);
        match result {
            Ok(result) => {
                module.state.set(state);
                samples.push(cycles);
                module.last_result.set(Some(result));
                // The module could have written any number there.
                Ok(Outcome { result, output_length: context.output_length().min(capacity) })
            }
            Err(fault) => {
                module.stop(fault);
                Err(Failure::Faulted)
            }
        }
    }

    /// The error that a failure stands for.
    #[cold]
    #[inline(never)]
    fn explain(&self, id: ModuleId, failure: Failure) -> ExecuteError {
        let fault = self.get(id).and_then(|module| module.fault.get());
        match (failure, fault) {
            (Failure::ProfileFull, _) => ExecuteError::ProfileFull,
            (Failure::Refused, None) => ExecuteError::Busy,
            (Failure::Refused, Some(fault)) => ExecuteError::Stopped(fault),
            (Failure::Faulted, Some(fault)) => ExecuteError::Faulted(fault),
            (Failure::NotLoaded | Failure::Faulted, _) => ExecuteError::NotLoaded,
        }
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
        let fault = if exits { self.call(&module.name, &module.placed, Reason::Exit).err() } else { None };
        if let Some(module) = self.modules.get_mut(id.index).and_then(Option::take) {
            self.vacant.push(id.index);
            if let Some(named) = self.names.get_mut(&module.name) {
                named.current = None;
            }
            self.platform.release(module.placed.image);
        }
        Ok(fault)
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
    fn get(&self, id: ModuleId) -> Option<&Module<P>> {
        self.modules.get(id.index)?.as_ref().filter(|module| module.load == id.load)
    }

    fn initialise(&self, module: &ValidModule<'_>, placed: &PlacedModule<P::Image>) -> Result<(), LoadError> {
        if module.raw().header.flags & FLAG_INIT == 0 {
            return Ok(());
        }
        match self.call(&module.name(), placed, Reason::Init) {
            Ok(0) => Ok(()),
            Ok(result) => Err(LoadError::InitFailed { result }),
            Err(fault) => Err(LoadError::InitFaulted(fault)),
        }
    }

    /// Calls a module outside of its profile.
    fn call(&self, name: &Name, placed: &PlacedModule<P::Image>, reason: Reason) -> Result<i32, Fault> {
        let mut context = Context::new(self.platform.services(), &[], &mut []);
        self.platform.call(&Call { module: name, image: &placed.image, entry: placed.entry, reason }, &mut context)
    }

    /// Enters a module into the tables, which have room for it.
    fn register(&mut self, valid: &ValidModule<'_>, placed: PlacedModule<P::Image>) -> ModuleId {
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
            placed,
            state: Cell::new(State::Ready),
            fault: Cell::new(None),
            last_result: Cell::new(None),
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
        let fault = module.fault.get();
        ModuleProfile {
            name: module.name,
            version: module.version,
            generation: module.generation,
            domain: Domain::Kernel,
            code_address: module.placed.code_address,
            entry_address: module.placed.entry,
            code_size: module.code_size,
            blob_size: module.blob_size,
            // The call that faulted was a call, though it has no figure.
            call_count: call_count + u64::from(fault.is_some()),
            total_cycles,
            cycles,
            last_result: module.last_result.get(),
            fault,
        }
    }
}

impl<P: Platform> Drop for ModuleManager<P> {
    fn drop(&mut self) {
        for index in 0..self.modules.len() {
            if let Some(module) = self.modules.get_mut(index).and_then(Option::take) {
                self.platform.release(module.placed.image);
            }
        }
    }
}

#[cfg(test)]
#[path = "manager_tests.rs"]
mod tests;
