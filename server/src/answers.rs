//! What clients are shown of the modules.

use alloc::vec::Vec;

use bareflow_loader::{ModuleId, Platform};
use bareflow_protocol::report::Module;
use bareflow_suite::fallible::{NoMemory, collect, push};

use crate::{Server, Surroundings};

impl<P: Platform, S: Surroundings> Server<'_, P, S> {
    /// The modules, or `one` of them, in the order of their names and loads; with what is known of their faults, if
    /// that is wanted.
    pub(crate) fn modules(&self, one: Option<ModuleId>, with_faults: bool) -> Result<Vec<Module>, NoMemory> {
        let mut loads = Vec::new();
        for id in self.manager.ids().filter(|id| one.is_none_or(|one| one == *id)) {
            if let Some(load) = self.manager.load_of(id) {
                push(&mut loads, (load, id))?;
            }
        }
        loads.sort_unstable_by_key(|(load, _)| *load);
        let library = self.library.borrow();
        let diagnosis = |id| library.get(id).filter(|_| with_faults)?.diagnosis.as_ref();
        let profiles = loads.iter().filter_map(|(_, id)| Some((*id, self.manager.stats(*id)?)));
        collect(profiles.map(|(id, profile)| bareflow_suite::module(&profile, diagnosis(id))))
    }
}
