//! The list of modules that clients get.

use alloc::vec::Vec;

use bareflow_loader::{ModuleId, PeakUse, Platform};
use bareflow_protocol::report::Module;
use bareflow_suite::fallible::{NoMemory, collect, push};

use crate::{Server, ServerEnvironment};

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// Returns the modules, or only `one`, in the order of their names and loads.
    ///
    /// `with_faults` adds diagnoses and peak use.
    pub(crate) fn modules(&self, one: Option<ModuleId>, with_faults: bool) -> Result<Vec<Module>, NoMemory> {
        let mut loads = Vec::new();
        for id in self.manager.ids().filter(|id| one.is_none_or(|one| one == *id)) {
            if let Some(load) = self.manager.load_of(id) {
                push(&mut loads, (load, id))?;
            }
        }
        loads.sort_unstable_by_key(|(load, _)| *load);
        let store = self.store.borrow();
        let diagnosis = |id| store.get(id).filter(|_| with_faults)?.diagnosis.as_ref();
        let profiles = loads.iter().filter_map(|(_, id)| Some((*id, self.manager.stats(*id)?)));
        // Scanning stacks takes time, so it is not done for a list of thousands.
        let peak = |id| if with_faults { self.manager.peak_use(id) } else { PeakUse::default() };
        collect(profiles.map(|(id, profile)| bareflow_suite::module(&profile, peak(id), diagnosis(id))))
    }
}
