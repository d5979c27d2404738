//! What clients are shown of the modules.

use alloc::vec::Vec;

use bareflow_loader::{ModuleId, Platform};
use bareflow_protocol::report::Module;

use crate::library::load_of;
use crate::{Server, Surroundings};

impl<P: Platform, S: Surroundings> Server<'_, P, S> {
    /// The modules, or `one` of them, in the order of their names and loads; with what is known of their faults, if
    /// that is wanted.
    pub(crate) fn modules(&self, one: Option<ModuleId>, with_faults: bool) -> Vec<Module> {
        let ids = self.manager.ids().filter(|id| one.is_none_or(|one| one == *id));
        let mut profiles: Vec<_> = ids.filter_map(|id| self.manager.stats(id)).collect();
        profiles.sort_by_key(load_of);
        let library = self.library.borrow();
        let diagnosis = |load| library.get(&load).filter(|_| with_faults)?.diagnosis.as_ref();
        profiles.iter().map(|profile| bareflow_suite::module(profile, diagnosis(load_of(profile)))).collect()
    }
}
