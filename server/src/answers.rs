//! What clients are shown of the modules.

use alloc::vec::Vec;

use bareflow_loader::{ModuleId, PeakUse, Platform};
use bareflow_protocol::report::Module;
use bareflow_suite::fallible::{NoMemory, collect, push};

use crate::{Server, ServerEnvironment};

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// The modules, or `one` of them, in the order of their names and loads; with what is known of their faults and of
    /// the most that their calls used, if that is wanted.
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
        // Looking through stacks takes its time: not for a list of thousands.
        let peak = |id| if with_faults { self.manager.peak_use(id) } else { PeakUse::default() };
        collect(profiles.map(|(id, profile)| bareflow_suite::module(&profile, peak(id), diagnosis(id))))
    }
}
