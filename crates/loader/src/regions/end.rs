//! The end of regions, with the modules that have them.

use allocator_api2::vec::Vec;

use crate::manager::ModuleManager;
use crate::module::Index;
use crate::module::interfaces::Interfaces;
use crate::module::metadata::Metadata;
use crate::platform::Platform;
use crate::registry::regions::{Holder, Region};

impl<P: Platform> ModuleManager<P> {
    /// Takes all regions away from the module in a slot, which is gone or has faulted, and frees those that no one has any
    /// more. `is_running`: other calls of it are.
    pub(crate) fn lose_regions(&self, module: Index, metadata: &Metadata<P::Alloc>, is_running: bool) {
        self.detach_regions(module, metadata, is_running);
        self.free_orphans();
    }

    /// Takes all regions away from a module, as [`lose_regions`](Self::lose_regions) does. What no one has any more is left
    /// to [`free_orphans`](Self::free_orphans); its pages are counted as the module's, and no others.
    pub(crate) fn detach_regions(&self, module: Index, metadata: &Metadata<P::Alloc>, is_running: bool) {
        if let Some(interfaces) = metadata.interfaces()
            && !self.regions.borrow().is_empty()
        {
            self.end_regions(module, interfaces, is_running);
        }
    }

    /// Takes a module's own regions away from all, and those that were lent to it from the module.
    #[cold]
    #[inline(never)]
    fn end_regions(&self, module: Index, interfaces: &Interfaces<P::Alloc>, is_running: bool) {
        let mut regions = self.regions.borrow_mut();
        interfaces.region_pages.set(0);
        for region in regions.iter_mut() {
            let is_own = region.owner == Some(module);
            let Region { memory, holders, .. } = region;
            holders.retain_mut(|holder| {
                holder.may_open &= !is_own && holder.module != module;
                let runs = if holder.module == module { is_running } else { self.may_be_running(holder.module) };
                let stays = holder.may_open || holder.pins > 0 || holder.is_open() && runs;
                if !stays {
                    self.unmap_at(memory, holder);
                }
                stays
            });
            if is_own {
                region.owner = None;
            }
            // It is this module's, or is gone with the last one that had it open.
            if region.is_orphan() {
                interfaces.region_pages.set(interfaces.region_pages.get() + region.memory.pages);
                // What is freed from here on is the memory alone, as a receipt counts it.
                region.holders = Vec::<Holder, _>::new_in(self.platform.allocator());
            }
        }
    }

    /// Frees the memory that stayed for modules which did not close it, and do not run any more.
    pub(crate) fn free_abandoned(&self) {
        for region in self.regions.borrow_mut().iter_mut().filter(|region| region.owner.is_none()) {
            let Region { memory, holders, .. } = region;
            holders.retain_mut(|holder| {
                let stays = holder.pins > 0 || self.may_be_running(holder.module);
                if !stays {
                    self.unmap_at(memory, holder);
                }
                stays
            });
        }
        self.free_orphans();
    }

    /// Frees the memory that no one has any more.
    #[cold]
    #[inline(never)]
    pub(crate) fn free_orphans(&self) {
        let mut regions = self.regions.borrow_mut();
        while let Some(region) = regions.take_orphan() {
            self.platform.free_region(region.memory);
        }
    }

    /// Frees all memory that no device may use. No module runs any more.
    pub(crate) fn free_regions(&self) {
        for region in self.regions.borrow_mut().drain().filter(|region| !region.is_pinned()) {
            self.platform.free_region(region.memory);
        }
    }

    /// Returns whether a region, which the module in a slot has, is another module's.
    #[cfg(feature = "devices")]
    pub(crate) fn is_anothers(&self, number: u32, module: Index) -> bool {
        let mut regions = self.regions.borrow_mut();
        regions.of_holder(number, module).is_ok_and(|region| region.owner.is_some_and(|owner| owner != module))
    }

    /// Returns whether a region is there and its owner has not ended or destroyed it.
    #[cfg(feature = "devices")]
    pub(crate) fn has_owner(&self, number: u32) -> bool {
        self.regions.borrow_mut().iter_mut().any(|region| region.number == number && region.owner.is_some())
    }

    /// Notes that a device of the module in a slot does not use a region any more; unless `is_quiet`, it may do so for ever.
    #[cfg(feature = "devices")]
    pub(crate) fn unpin_region(&self, number: u32, module: Index, is_quiet: bool) {
        let mut regions = self.regions.borrow_mut();
        let Some(region) = regions.iter_mut().find(|region| region.number == number) else { return };
        let Region { memory, holders, is_lost, .. } = region;
        *is_lost |= !is_quiet;
        holders.retain_mut(|holder| {
            if holder.module != module {
                return true;
            }
            holder.pins = holder.pins.saturating_sub(1);
            let stays = holder.may_open || holder.pins > 0 || holder.is_open();
            if !stays {
                self.unmap_at(memory, holder);
            }
            stays
        });
    }
}
