//! The registry of loaded modules and their names.
//!
//! A slot never moves, so it can be filled and emptied while calls of the modules in other slots are running. A call
//! borrows the slot of its module.

#[cfg(feature = "devices")]
pub mod devices;
pub mod embedder;
#[cfg(feature = "events")]
pub mod events;
mod hash_index;
#[cfg(feature = "devices")]
pub mod leftovers;
mod names;
#[cfg(feature = "regions")]
pub mod regions;
mod stable_vec;
pub mod uses;

use core::cell::{BorrowError, Cell, Ref, RefCell, RefMut};
use core::mem::ManuallyDrop;
use core::num::NonZeroU64;

use hash_index::HashIndex;
pub(crate) use names::NameEntry;
use stable_vec::StableVec;

use crate::error::LoadError;
use crate::module::{Index, lifecycle::ModuleState};
use crate::module::{Module, ModuleId};
use crate::name::Name;
use crate::platform::Platform;

/// The index that stands for none.
pub(crate) const NIL: Index = Index::MAX;

/// The contents of a slot.
///
/// Only [`Slot::take`] and [`Registry::drain`] empty a slot, so filling one never drops an old module; `ManuallyDrop`
/// lets the compiler skip that check.
pub(crate) type SlotContents<P> = Option<ManuallyDrop<Module<P>>>;

/// A slot for a module.
pub(crate) struct Slot<P: Platform> {
    module: RefCell<SlotContents<P>>,
    index: Index,
    /// The slot of the next module of the same name; for a vacant slot, the next vacant one.
    next: Cell<Index>,
}

impl<P: Platform> Slot<P> {
    /// Returns the slot's index.
    pub const fn index(&self) -> Index {
        self.index
    }

    /// Borrows the contents, unless they are mutably borrowed.
    #[inline(always)]
    pub fn try_borrow(&self) -> Result<Ref<'_, SlotContents<P>>, BorrowError> {
        self.module.try_borrow()
    }

    /// Borrows the module, if there is one and it is not mutably borrowed.
    #[inline]
    pub fn module(&self) -> Option<Ref<'_, Module<P>>> {
        Ref::filter_map(self.try_borrow().ok()?, Option::as_deref).ok()
    }

    /// Borrows the module, provided that it has the epoch of the handle.
    #[inline]
    pub fn get(&self, epoch: NonZeroU64) -> Option<Ref<'_, Module<P>>> {
        self.module().filter(|module| module.epoch.get() == Some(epoch))
    }

    /// Borrows the contents mutably, unless they are borrowed.
    #[inline]
    pub fn try_borrow_mut(&self) -> Option<RefMut<'_, SlotContents<P>>> {
        self.module.try_borrow_mut().ok()
    }

    /// Returns whether a call of the module is running, or the module is pinned.
    pub fn is_borrowed(&self) -> bool {
        self.try_borrow_mut().is_none()
    }

    /// Removes the module, unless it is borrowed. The slot stays reserved.
    #[inline(always)]
    pub fn take(&self) -> Option<Module<P>> {
        self.try_borrow_mut()?.take().map(ManuallyDrop::into_inner)
    }
}

/// All slots and all names.
pub(crate) struct Registry<P: Platform> {
    slots: StableVec<Slot<P>, P::Alloc>,
    names: StableVec<NameEntry, P::Alloc>,
    /// The head of the list of vacant slots.
    vacant: Cell<Index>,
    /// The head of the list of vacant names.
    vacant_name: Cell<Index>,
    /// The index of the name that is checked next when an unused one is to be evicted.
    eviction_cursor: Cell<Index>,
    /// The hash table of the names.
    hash_index: HashIndex<P::Alloc>,
    last_epoch: Cell<u64>,
}

/// An empty slot and a name that belong to one load. If it is dropped without being filled, both are released.
pub(crate) struct Reservation<'registry, P: Platform> {
    registry: &'registry Registry<P>,
    slot: &'registry Slot<P>,
    contents: RefMut<'registry, SlotContents<P>>,
    name_entry: &'registry NameEntry,
    epoch: NonZeroU64,
}

impl<'registry, P: Platform> Reservation<'registry, P> {
    /// Returns the index of the name, and the epoch of this load.
    #[inline(always)]
    pub fn identity(&self) -> (Index, NonZeroU64) {
        (self.name_entry.index(), self.epoch)
    }

    /// Puts `module` into the slot.
    #[inline(always)]
    pub fn fill(mut self, module: Module<P>) -> FilledSlot<'registry, P> {
        *self.contents = Some(ManuallyDrop::new(module));
        FilledSlot { slot: self.slot, name_entry: self.name_entry, epoch: self.epoch }
    }
}

impl<P: Platform> Drop for Reservation<'_, P> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.contents.is_none() {
            self.registry.release(self.slot, Some(self.name_entry));
        }
    }
}

/// A slot that a load has filled.
pub(crate) struct FilledSlot<'registry, P: Platform> {
    pub slot: &'registry Slot<P>,
    pub name_entry: &'registry NameEntry,
    /// The epoch of the module in it.
    pub epoch: NonZeroU64,
}

impl<P: Platform> Registry<P> {
    /// Creates a registry without modules.
    pub const fn new() -> Registry<P> {
        Registry {
            slots: StableVec::new(),
            names: StableVec::new(),
            vacant: Cell::new(NIL),
            vacant_name: Cell::new(NIL),
            eviction_cursor: Cell::new(0),
            hash_index: HashIndex::new(),
            last_epoch: Cell::new(0),
        }
    }

    /// Reserves a slot for a module named `name`, whose entry is `known` if there is one.
    ///
    /// # Errors
    /// [`LoadError::NoMemory`].
    #[inline(always)]
    pub fn reserve<'registry>(
        &'registry self,
        known: Option<&'registry NameEntry>,
        name: &Name,
        allocator: &P::Alloc,
    ) -> Result<Reservation<'registry, P>, LoadError> {
        let name_entry = self.reserve_name(known, name, allocator).ok_or(LoadError::NoMemory)?;
        // No one borrows an empty slot.
        match self.reserve_slot(allocator).and_then(|slot| Some((slot, slot.try_borrow_mut()?))) {
            Some((slot, contents)) => {
                Ok(Reservation { registry: self, slot, contents, name_entry, epoch: self.next_epoch() })
            }
            None => {
                self.release_name(name_entry);
                Err(LoadError::NoMemory)
            }
        }
    }

    #[inline(always)]
    fn reserve_slot(&self, allocator: &P::Alloc) -> Option<&Slot<P>> {
        let slot = match self.vacant.get() {
            NIL => self.add_slot(allocator)?,
            vacant => self.slot(vacant as usize)?,
        };
        self.vacant.set(slot.next.replace(NIL));
        Some(slot)
    }

    /// Adds a slot; `None` if there is no memory.
    #[cold]
    #[inline(never)]
    fn add_slot(&self, allocator: &P::Alloc) -> Option<&Slot<P>> {
        let blank = |index| Slot { module: RefCell::new(None), index, next: Cell::new(NIL) };
        self.slots.add(allocator, blank)
    }

    /// Releases an empty slot, and its name if that was never loaded.
    #[inline]
    pub fn release(&self, slot: &Slot<P>, name_entry: Option<&NameEntry>) {
        slot.next.set(self.vacant.replace(slot.index()));
        if let Some(name_entry) = name_entry {
            self.release_name(name_entry);
        }
    }

    /// Returns the epoch of the next load.
    pub fn next_epoch(&self) -> NonZeroU64 {
        self.last_epoch.set(self.last_epoch.get() + 1);
        NonZeroU64::new(self.last_epoch.get()).unwrap_or(NonZeroU64::MAX)
    }

    /// Returns the slot with the given index, reserved or not.
    #[inline]
    pub fn slot(&self, index: usize) -> Option<&Slot<P>> {
        self.slots.get(index)
    }

    /// Borrows the module of the handle `id`.
    #[inline(always)]
    pub fn get(&self, id: ModuleId) -> Option<Ref<'_, Module<P>>> {
        self.slot(id.index)?.get(id.epoch)
    }

    /// Iterates over the handles of all modules, in the order of their slots.
    pub fn ids(&self) -> impl Iterator<Item = ModuleId> {
        let there =
            |index| self.slot(index)?.module().filter(|module| module.lifecycle.state() != ModuleState::Loading);
        (0..self.slots.len() as usize)
            .filter_map(move |index| Some(ModuleId { index, epoch: there(index)?.epoch.get()? }))
    }

    /// Iterates over the handles of all published modules of a name, the one loaded last first.
    pub fn versions<'registry>(
        &'registry self,
        name_entry: Option<&NameEntry>,
    ) -> impl Iterator<Item = ModuleId> + use<'registry, P> {
        let there = |index: Index| (index != NIL).then_some(index as usize);
        let next = move |&index: &usize| there(self.slot(index)?.next.get());
        core::iter::successors(name_entry.and_then(|name_entry| there(name_entry.first.get())), next)
            .filter_map(|index| Some(ModuleId { index, epoch: self.slot(index)?.module()?.epoch.get()? }))
    }

    /// Adds a slot to the list of its name, so that its module can be found by the name.
    pub fn link(&self, slot: &Slot<P>, name_entry: &NameEntry) {
        slot.next.set(name_entry.first.replace(slot.index()));
    }

    /// Removes a slot from the list of its name.
    #[inline]
    pub fn unlink(&self, slot: &Slot<P>, name_entry: &NameEntry) {
        let mut before = &name_entry.first;
        while before.get() != slot.index() {
            let Some(other) = self.slot(before.get() as usize) else { return };
            before = &other.next;
        }
        before.set(slot.next.replace(NIL));
    }

    /// Empties all slots, and iterates over their modules.
    pub fn drain(&mut self) -> impl Iterator<Item = Module<P>> {
        self.slots.iter_mut().filter_map(|slot| slot.module.get_mut().take().map(ManuallyDrop::into_inner))
    }
}
