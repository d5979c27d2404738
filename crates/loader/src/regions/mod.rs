//! Regions: memory that modules share. The interface `regions` (`serve`), and their end with the modules that have them
//! (`end`).
//!
//! A region is mapped for a module when that first opens it, and stays so until it is taken back. As long as a guard of
//! the module has it open, and the module runs, nothing takes it away: the owner gets an error, and where the owner
//! itself ends, the memory stays until the module closes it.

mod end;
mod serve;

use crate::manager::ModuleManager;
use crate::module::interfaces::Interfaces;
use crate::module::{Index, ModuleId};
use crate::platform::Platform;
use crate::registry::Slot;
use crate::registry::regions::Holder;

/// The most regions that a module may own.
const MAX_REGIONS: usize = 64;

impl<P: Platform> ModuleManager<P> {
    /// Sets the most bytes of regions that a module may own, 4 MiB by default. Regions that exist stay.
    pub fn set_region_limit(&self, bytes: u64) {
        self.region_limit.set(bytes);
    }

    /// Returns the bytes of the regions that a module owns.
    #[must_use]
    pub fn region_bytes(&self, id: ModuleId) -> u64 {
        let regions = self.regions.borrow();
        let loaded = self.is_loaded(id).then_some(id.index as Index).into_iter();
        loaded.flat_map(|module| regions.owned_by(module)).map(|region| region.memory.bytes()).sum()
    }

    /// Returns where the embedder has bytes of a region that a module has open.
    pub(crate) fn find_in_region(
        &self,
        caller: &Interfaces<P::Alloc>,
        bytes: (u64, u64),
        to_write: bool,
    ) -> Option<u64> {
        self.regions.borrow().find(caller.owner.get()?.index as Index, bytes, to_write)
    }

    /// Returns whether a call of the module in a slot may be running.
    fn may_be_running(&self, module: Index) -> bool {
        self.registry.slot(module as usize).is_some_and(Slot::is_borrowed)
    }

    /// Unmaps a region for one that has it.
    fn unmap_at(&self, memory: &crate::platform::RegionMemory, holder: &mut Holder) {
        if holder.mapping.take().is_some()
            && let Some(module) = self.registry.slot(holder.module as usize).and_then(Slot::module)
        {
            self.platform.unmap_region(memory, &module.placed.image);
        }
    }
}

#[cfg(all(test, feature = "reload", feature = "restart", feature = "semver"))]
mod tests;
