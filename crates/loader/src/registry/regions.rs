//! The regions of memory that modules share: who owns each, whom it is lent to, and at whom it is mapped.

use core::num::NonZeroU64;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;
use bareflow_regions::{Access, RegionError};

use crate::format::segments::is_within;
use crate::module::Index;
use crate::platform::RegionMemory;

/// The most bytes of regions that a module may own, unless the embedder sets another limit.
pub(crate) const DEFAULT_LIMIT_BYTES: u64 = 4 << 20;

/// All regions.
pub(crate) struct RegionTable<A: Allocator> {
    all: Vec<Region<A>, A>,
    /// The number of the last region.
    last_number: u32,
    /// The key of the last opening.
    last_key: u64,
}

/// A region.
pub(crate) struct Region<A: Allocator> {
    pub number: u32,
    /// The slot of the module that owns it; `None` once that is gone, and the memory stays only until others close it.
    pub owner: Option<Index>,
    /// The access of those that it is lent to.
    pub access: Access,
    pub memory: RegionMemory,
    /// The owner, those that it is lent to, and those that have it open although it was taken back.
    pub holders: Vec<Holder, A>,
    /// Whether a device may use it that could not be stopped: it is never freed.
    pub is_lost: bool,
}

/// A module that has a region.
pub(crate) struct Holder {
    /// The slot of the module.
    pub module: Index,
    /// Whether it may open the region; else it is there only until it has closed it.
    pub may_open: bool,
    pub mapping: Option<Mapping>,
    /// The number of its devices that use the region.
    pub pins: u32,
}

/// A mapping of a region for a module.
pub(crate) struct Mapping {
    /// The address, as the module sees it.
    pub address: u64,
    pub is_writable: bool,
    /// The access by which the region is open, or was opened last.
    pub access: Access,
    /// The key of the opening, while the region is open.
    pub key: Option<NonZeroU64>,
}

impl<A: Allocator> RegionTable<A> {
    /// Creates an empty table.
    pub const fn new_in(allocator: A) -> RegionTable<A> {
        RegionTable { all: Vec::new_in(allocator), last_number: 0, last_key: 0 }
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Iterates over the regions that the module in the slot `module` owns.
    pub fn owned_by(&self, module: Index) -> impl Iterator<Item = &Region<A>> {
        self.all.iter().filter(move |region| region.owner == Some(module))
    }

    /// Iterates over all regions.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Region<A>> {
        self.all.iter_mut()
    }

    /// Reserves memory for one more region.
    ///
    /// # Errors
    /// [`RegionError::NoMemory`].
    pub fn reserve(&mut self) -> Result<(), RegionError> {
        self.all.try_reserve(1).map_err(|_| RegionError::NoMemory)
    }

    /// Adds a region of the module in the slot `owner`, for which memory was [reserved](Self::reserve). Returns its number.
    pub fn add(&mut self, owner: Index, memory: RegionMemory, holders: Vec<Holder, A>) -> u32 {
        let number = self.next_number();
        self.all.push(Region {
            number,
            owner: Some(owner),
            access: Access::Exclusive,
            memory,
            holders,
            is_lost: false,
        });
        number
    }

    /// Removes a region whose memory is to be freed, if there is one.
    pub fn take_orphan(&mut self) -> Option<Region<A>> {
        let index = self.all.iter().position(Region::is_orphan)?;
        Some(self.all.swap_remove(index))
    }

    /// Removes all regions.
    pub fn drain(&mut self) -> impl Iterator<Item = Region<A>> {
        self.all.drain(..)
    }

    /// Returns a number that no region has.
    fn next_number(&mut self) -> u32 {
        loop {
            self.last_number = self.last_number.wrapping_add(1);
            if self.last_number != 0 && self.all.iter().all(|region| region.number != self.last_number) {
                return self.last_number;
            }
        }
    }

    /// Returns a key that no opening had.
    pub const fn next_key(&mut self) -> NonZeroU64 {
        // No one counts so far that it wraps.
        self.last_key = self.last_key.wrapping_add(1);
        // Far from each other, so that no key is that of another opening by accident.
        match NonZeroU64::new(self.last_key.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
            Some(key) => key,
            None => NonZeroU64::MAX,
        }
    }

    /// Returns the region with this number, if the module in the slot `module` has it.
    ///
    /// # Errors
    /// [`RegionError::NoSuchRegion`].
    pub fn of_holder(&mut self, number: u32, module: Index) -> Result<&mut Region<A>, RegionError> {
        let mut all = self.all.iter_mut();
        let region =
            all.find(|region| region.number == number && region.holders.iter().any(|one| one.module == module));
        region.ok_or(RegionError::NoSuchRegion)
    }

    /// Returns the region with this number, if the module in the slot `module` owns it.
    ///
    /// # Errors
    /// [`RegionError::NoSuchRegion`], [`RegionError::NotOwner`].
    pub fn of_owner(&mut self, number: u32, module: Index) -> Result<&mut Region<A>, RegionError> {
        let region = self.of_holder(number, module)?;
        if region.owner == Some(module) { Ok(region) } else { Err(RegionError::NotOwner) }
    }

    /// Returns the bytes of regions whose owners are gone, and that stay since this module has them open.
    pub fn kept_bytes(&self, module: Index) -> u64 {
        let is_kept = |region: &&Region<A>| region.owner.is_none() && region.holder(module).is_some();
        self.all.iter().filter(is_kept).map(|region| region.memory.bytes()).sum()
    }

    /// Returns where the embedder has bytes that a module sees at `address`, if they lie in a region that it has open and
    /// may lend as a slice; `to_write`: one to be written.
    pub fn find(&self, module: Index, (address, length): (u64, u64), to_write: bool) -> Option<u64> {
        self.all.iter().find_map(|region| {
            let mapping = region.holder(module)?.mapping.as_ref().filter(|mapping| mapping.key.is_some())?;
            let is_lendable = match mapping.access {
                Access::Exclusive => true,
                Access::ReadOnly => !to_write,
                Access::Shared => false,
            };
            let is_inside = is_within(address, length, mapping.address, region.memory.bytes());
            (is_lendable && is_inside).then(|| region.memory.address + (address - mapping.address))
        })
    }
}

impl<A: Allocator> Region<A> {
    pub fn holder(&self, module: Index) -> Option<&Holder> {
        self.holders.iter().find(|holder| holder.module == module)
    }

    /// Returns whether it is lent to a module.
    pub fn is_borrowed(&self) -> bool {
        self.holders.iter().any(|holder| holder.may_open && Some(holder.module) != self.owner)
    }

    /// Returns whether it is lent to a module, or used by a device.
    pub fn is_lent(&self) -> bool {
        self.is_pinned() || self.is_borrowed()
    }

    /// Returns whether a device uses it.
    pub fn is_pinned(&self) -> bool {
        self.is_lost || self.holders.iter().any(|holder| holder.pins > 0)
    }

    /// Returns whether the module in this slot has it open.
    pub fn is_open_at(&self, module: Index) -> bool {
        self.holder(module).is_some_and(Holder::is_open)
    }

    /// Returns the access that a module has to it.
    ///
    /// # Errors
    /// [`RegionError::NoSuchRegion`], [`RegionError::Lent`].
    pub fn access_of(&self, module: Index) -> Result<Access, RegionError> {
        self.holder(module).filter(|holder| holder.may_open).ok_or(RegionError::NoSuchRegion)?;
        match (self.owner == Some(module), self.is_lent(), self.access) {
            (true, false, _) => Ok(Access::Exclusive),
            (true, true, Access::Exclusive) => Err(RegionError::Lent),
            (_, _, access) => Ok(access),
        }
    }

    /// Returns whether a module other than that in the slot `module` has it open in a way that does not go together with
    /// `access`. What was taken back may still be open where it was when its owner ended.
    pub fn is_open_against(&self, module: Index, access: Access) -> bool {
        self.holders.iter().any(|holder| {
            holder.module != module
                && holder.mapping.as_ref().is_some_and(|mapping| {
                    mapping.key.is_some() && (access == Access::Exclusive || mapping.access != access)
                })
        })
    }

    /// Returns whether its memory is to be freed: it has no owner, is mapped nowhere, and no device uses it.
    pub fn is_orphan(&self) -> bool {
        self.owner.is_none() && self.holders.is_empty() && !self.is_lost
    }
}

impl Holder {
    /// Creates one that may open it.
    pub const fn new(module: Index) -> Holder {
        Holder { module, may_open: true, mapping: None, pins: 0 }
    }

    /// Returns whether the module has the region open.
    pub fn is_open(&self) -> bool {
        self.mapping.as_ref().is_some_and(|mapping| mapping.key.is_some())
    }
}
