//! The figures of loaded modules: profiles, readings, and memory in use.

use crate::manager::ModuleManager;
use crate::module::lifecycle::ModuleState;
use crate::module::{Module, ModuleId};
use crate::platform::Platform;
use crate::profile::peak::PeakUse;
use crate::profile::{ModuleProfile, Snapshot, Usage};

impl<P: Platform> ModuleManager<P> {
    /// Returns the profile of a module.
    #[must_use]
    pub fn stats(&self, id: ModuleId) -> Option<ModuleProfile> {
        self.get(id).map(|module| self.profile(id, &module))
    }

    /// Returns the peak stack and heap use of a module's calls since it was loaded or restarted.
    ///
    /// Scans the module's stack, which takes time in proportion to its size.
    #[must_use]
    pub fn peak_use(&self, id: ModuleId) -> PeakUse {
        // Not while the module runs, since its memory may be changing.
        let module = self.get(id).filter(|module| module.lifecycle.state() != ModuleState::Running);
        module.map_or(PeakUse::default(), |module| self.platform.peak_use(&module.placed.image))
    }

    /// Returns all readings of a module, to be merged with those of other threads or processors.
    ///
    /// `None` if the module is gone or was never called.
    #[must_use]
    pub fn snapshot(&self, id: ModuleId) -> Option<Snapshot> {
        let module = self.get(id)?;
        module.profile_buffer.snapshot(module.call_count())
    }

    /// Iterates over the profiles of all modules, in the order of their slots in the registry.
    pub fn profiles(&self) -> impl Iterator<Item = ModuleProfile> {
        self.ids().filter_map(|id| self.stats(id))
    }

    /// Returns the memory that all images and the loader's tables use now; `None` if the platform does not count it.
    ///
    /// The buffer that is kept for the next module is left out.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        let spare_buffer = Usage { table_bytes: self.spare_buffer.table_bytes(), ..Usage::default() };
        Some(self.platform.usage()?.saturating_sub(spare_buffer))
    }

    fn profile(&self, id: ModuleId, module: &Module<P>) -> ModuleProfile {
        let faults = &module.faults;
        let functions = module.metadata.interfaces().map_or(&[][..], |interfaces| &interfaces.functions);
        let function_faults = functions.iter().map(|function| function.faults.get());
        let snapshot = module.profile_buffer.snapshot(0);
        let timed_calls = snapshot.as_ref().map_or(0, Snapshot::timed_calls);
        let returned = timed_calls + module.sampler.untimed();
        ModuleProfile {
            name: module.name,
            version: module.version,
            generation: module.generation.get(),
            active: self.name_entry(module).is_some_and(|name_entry| name_entry.active.get() == Some(id)),
            retired: module.lifecycle.is_retired(),
            domain: module.domain(),
            budget: module.placement.budget,
            services: module.placement.services,
            memory: self.usage_of(module),
            code_address: module.placed.entry.wrapping_sub(module.entry.into()),
            entry_address: module.placed.entry,
            cpu_level: module.cpu_level,
            code_size: module.code_size.into(),
            blob_size: module.blob_size,
            // Calls that faulted are counted, though they have no reading.
            call_count: returned + u64::from(faults.count.get()),
            timed_calls,
            sample_every: module.sampler.every(),
            total_cycles: snapshot.as_ref().map_or(0, Snapshot::total_cycles),
            cycles: snapshot.and_then(|snapshot| snapshot.statistics(self.call_overhead_cycles())),
            last_result: (returned > 0).then_some(module.last_result.get()),
            stopped: module.lifecycle.state() == ModuleState::Stopped,
            fault: faults.last(),
            faults: function_faults.fold(faults.count.get(), u32::saturating_add),
            restarts: faults.restarts.get(),
        }
    }
}
