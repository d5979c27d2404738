//! The interface `regions`, for one module that calls it.

use allocator_api2::vec::Vec;
use bareflow_abi::CallError;
use bareflow_abi::interface::{Frame, Reply, serve};
use bareflow_regions::{Access, RegionError, Regions, View};

use super::MAX_REGIONS;
use crate::format::segments::PAGE_SIZE;
use crate::manager::ModuleManager;
use crate::module::interfaces::{Interfaces, LoaderInterface};
use crate::module::lifecycle::ModuleState;
use crate::module::{Index, ModuleId};
use crate::name::Name;
use crate::platform::Platform;
use crate::registry::Slot;
use crate::registry::regions::{Holder, Mapping, Region};

/// The module that calls.
struct Caller<'manager, P: Platform> {
    manager: &'manager ModuleManager<P>,
    /// The slot.
    module: Index,
    interfaces: &'manager Interfaces<P::Alloc>,
}

impl<P: Platform> ModuleManager<P> {
    /// Calls a method of the interface for the module `caller`.
    pub(crate) fn serve_regions(&self, caller: &Interfaces<P::Alloc>, method: u32, frame: &mut Frame<'_>) -> Reply {
        let Some(owner) = caller.owner.get() else { return CallError::NotBound.into() };
        let mut caller = Caller { manager: self, module: owner.index as Index, interfaces: caller };
        serve::<dyn Regions, _>(&mut caller, method, frame)
    }
}

impl<P: Platform> Regions for Caller<'_, P> {
    fn create(&mut self, bytes: u64) -> Result<u32, RegionError> {
        let Caller { manager, module, interfaces } = *self;
        manager.free_abandoned();
        let mut regions = manager.regions.borrow_mut();
        let slot = manager.registry.slot(module as usize).and_then(Slot::module);
        let domain = slot.ok_or(CallError::NotBound)?.placement.domain;
        if !manager.platform.has_regions(domain) {
            return Err(RegionError::Unsupported);
        }
        let pages = u32::try_from(bytes.div_ceil(PAGE_SIZE)).map_err(|_| RegionError::TooLarge)?;
        let owned = interfaces.region_pages.get().checked_add(pages).ok_or(RegionError::TooLarge)?;
        let count = regions.owned_by(module).count();
        if pages == 0 || u64::from(owned) * PAGE_SIZE > manager.region_limit.get() || count == MAX_REGIONS {
            return Err(RegionError::TooLarge);
        }
        let mut holders = Vec::new_in(manager.platform.allocator());
        holders.try_reserve_exact(1).map_err(|_| RegionError::NoMemory)?;
        regions.reserve()?;
        let memory = manager.platform.allocate_region(pages).map_err(|_| RegionError::NoMemory)?;
        holders.push(Holder::new(module));
        interfaces.region_pages.set(owned);
        Ok(regions.add(module, memory, holders))
    }

    fn destroy(&mut self, region: u32) -> Result<(), RegionError> {
        let mut regions = self.manager.regions.borrow_mut();
        let found = regions.of_owner(region, self.module)?;
        if found.is_lent() {
            return Err(RegionError::Lent);
        }
        if found.is_open_at(self.module) {
            return Err(RegionError::Open);
        }
        found.owner = None;
        self.interfaces.region_pages.set(self.interfaces.region_pages.get().saturating_sub(found.memory.pages));
        self.remove(found);
        drop(regions);
        self.manager.free_orphans();
        Ok(())
    }

    fn lend(&mut self, region: u32, to: &str, access: Access) -> Result<(), RegionError> {
        let mut regions = self.manager.regions.borrow_mut();
        let found = regions.of_owner(region, self.module)?;
        let to = self.find_borrower(to)?;
        if found.is_lent() {
            let is_same = access != Access::Exclusive && access == found.access;
            if !is_same || found.holder(to).is_some_and(|holder| holder.may_open) {
                return Err(RegionError::Lent);
            }
        } else if found.is_open_at(self.module) {
            return Err(RegionError::Open);
        }
        // One that has it open although it was taken back.
        if found.is_open_against(self.module, access) || found.is_open_at(to) {
            return Err(RegionError::Open);
        }
        found.holders.try_reserve(1).map_err(|_| RegionError::NoMemory)?;
        found.access = access;
        found.holders.push(Holder::new(to));
        let Region { memory, holders, .. } = found;
        // Its owner must not reach it any more, or not write it.
        if access != Access::Shared {
            let own = holders.iter_mut().filter(|holder| holder.module == self.module && !holder.is_open());
            own.for_each(|own| self.manager.unmap_at(memory, own));
        }
        Ok(())
    }

    fn take_back(&mut self, region: u32) -> Result<(), RegionError> {
        let mut regions = self.manager.regions.borrow_mut();
        let found = regions.of_owner(region, self.module)?;
        if !found.is_borrowed() {
            return Err(if found.is_pinned() { RegionError::Open } else { RegionError::NotLent });
        }
        let is_used = |holder: &Holder| {
            let is_open = holder.is_open() && self.manager.may_be_running(holder.module);
            holder.module != self.module && (holder.pins > 0 || is_open)
        };
        if found.is_lost || found.holders.iter().any(is_used) {
            return Err(RegionError::Open);
        }
        let Region { memory, holders, .. } = found;
        holders.retain_mut(|holder| {
            if holder.module != self.module {
                self.manager.unmap_at(memory, holder);
            }
            holder.module == self.module
        });
        Ok(())
    }

    fn give_back(&mut self, region: u32) -> Result<(), RegionError> {
        let mut regions = self.manager.regions.borrow_mut();
        let found = regions.of_holder(region, self.module)?;
        if found.owner == Some(self.module) {
            return Err(RegionError::NotLent);
        }
        if found.holder(self.module).is_some_and(|own| own.pins > 0 || own.is_open()) {
            return Err(RegionError::Open);
        }
        self.remove(found);
        Ok(())
    }

    fn open(&mut self, region: u32, access: Access, view: &mut View) -> Result<(), RegionError> {
        let Caller { manager, module, .. } = *self;
        let mut regions = manager.regions.borrow_mut();
        let key = regions.next_key();
        let kept_bytes = regions.kept_bytes(module);
        let found = regions.of_holder(region, module)?;
        if found.access_of(module)? != access {
            return Err(RegionError::OtherAccess);
        }
        if found.is_open_at(module) || found.is_open_against(module, access) {
            return Err(RegionError::Open);
        }
        // Else it could open regions, close none, and have their owners end, until there is no memory.
        let is_own = found.owner == Some(module);
        if !is_own && kept_bytes > 0 && kept_bytes + found.memory.bytes() > manager.region_limit.get() {
            return Err(RegionError::TooLarge);
        }
        let slot = manager.registry.slot(module as usize).and_then(Slot::module).ok_or(CallError::NotBound)?;
        let Region { memory, holders, .. } = found;
        let holder = holders.iter_mut().find(|holder| holder.module == module).ok_or(RegionError::NoSuchRegion)?;
        let is_writable = access != Access::ReadOnly;
        if holder.mapping.as_ref().is_some_and(|mapping| mapping.is_writable != is_writable) {
            manager.unmap_at(memory, holder);
        }
        let address = match &holder.mapping {
            Some(mapping) => mapping.address,
            None => {
                let mapped = manager.platform.map_region(memory, &slot.placed.image, is_writable);
                mapped.map_err(|_| RegionError::NoMemory)?
            }
        };
        holder.mapping = Some(Mapping { address, is_writable, access, key: Some(key) });
        *view = View { address, bytes: memory.bytes(), key: key.get() };
        Ok(())
    }

    fn close(&mut self, region: u32, key: u64) -> Result<(), RegionError> {
        let mut regions = self.manager.regions.borrow_mut();
        let found = regions.of_holder(region, self.module)?;
        let mut holders = found.holders.iter_mut();
        let holder = holders.find(|holder| holder.module == self.module).ok_or(RegionError::NoSuchRegion)?;
        let mapping = holder.mapping.as_mut().filter(|mapping| mapping.key.is_some_and(|own| own.get() == key));
        mapping.ok_or(RegionError::NotOpen)?.key = None;
        if !holder.may_open && holder.pins == 0 {
            self.remove(found);
            drop(regions);
            self.manager.free_orphans();
        }
        Ok(())
    }

    fn lender(&self, region: u32) -> Result<u32, RegionError> {
        let mut regions = self.manager.regions.borrow_mut();
        let found = regions.of_holder(region, self.module)?;
        found.access_of(self.module)?;
        let owner = found.owner.ok_or(RegionError::NoSuchRegion)?;
        if owner == self.module {
            return Err(RegionError::NotLent);
        }
        let slot = self.manager.registry.slot(owner as usize).and_then(Slot::module);
        let number = slot.and_then(|owner| owner.metadata.interfaces().map(|interfaces| interfaces.caller.get()));
        number.ok_or(RegionError::NoSuchRegion)
    }
}

impl<P: Platform> Caller<'_, P> {
    /// Makes the caller one that does not have this region any more.
    fn remove(&self, Region { memory, holders, .. }: &mut Region<P::Alloc>) {
        holders.retain_mut(|holder| {
            if holder.module == self.module {
                self.manager.unmap_at(memory, holder);
            }
            holder.module != self.module
        });
    }

    /// Returns the slot of the module `to`, which a region is to be lent to.
    fn find_borrower(&self, to: &str) -> Result<Index, RegionError> {
        let own = self.manager.registry.slot(self.module as usize).and_then(Slot::module);
        let name = own.map_or_else(|| Name::new(to), |own| own.metadata.known_as(to));
        let id = name.and_then(|name| self.manager.active(&name)).ok_or(RegionError::NoSuchModule)?;
        let ModuleId { index, .. } = id;
        if index as Index == self.module {
            return Err(RegionError::ToItself);
        }
        let module = self.manager.get(id).ok_or(RegionError::NoSuchModule)?;
        if module.lifecycle.is_retired() || module.lifecycle.state() == ModuleState::Stopped {
            return Err(RegionError::NoSuchModule);
        }
        if !module
            .metadata
            .interfaces()
            .is_some_and(|interfaces| interfaces.imports_from_loader(LoaderInterface::Regions))
        {
            return Err(RegionError::NotAnImporter);
        }
        if !self.manager.platform.has_regions(module.placement.domain) {
            return Err(RegionError::Unsupported);
        }
        Ok(index as Index)
    }
}
