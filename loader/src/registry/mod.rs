//! The registry of loaded modules, and what their names stand for.
//!
//! A slot never moves: it can be filled and emptied while calls of the
//! modules in other slots are under way. A call borrows its own slot.

mod hash_index;
mod names;
mod stable_vec;

use core::cell::{BorrowError, Cell, Ref, RefCell, RefMut};
use core::mem::ManuallyDrop;
use core::num::NonZeroU64;

use hash_index::HashIndex;
pub(crate) use names::NameEntry;
use stable_vec::StableVec;

use crate::lifecycle::ModuleState;
use crate::module::{Module, ModuleId};
use crate::name::Name;
use crate::platform::Platform;

/// The number of a slot, or of a name.
pub(crate) type Index = u32;

/// The number of none.
pub(crate) const NIL: Index = Index::MAX;

/// A module, or none. It leaves its slot by [`Slot::take`] and [`Registry::drain`] alone: so nothing is to be
/// dropped where one is filled, which need not be found out each time.
pub(crate) type SlotContents<P> = Option<ManuallyDrop<Module<P>>>;

/// A slot for a module.
pub(crate) struct Slot<P: Platform> {
    module: RefCell<SlotContents<P>>,
    index: Index,
    /// The slot of the next module of its name; of a vacant one, the next vacant slot.
    next: Cell<Index>,
}

impl<P: Platform> Slot<P> {
    /// Its own number.
    pub const fn index(&self) -> Index {
        self.index
    }

    /// The module in it, if it is free to be looked at.
    #[inline(always)]
    pub fn try_borrow(&self) -> Result<Ref<'_, SlotContents<P>>, BorrowError> {
        self.module.try_borrow()
    }

    /// The module in it.
    #[inline]
    pub fn module(&self) -> Option<Ref<'_, Module<P>>> {
        Ref::filter_map(self.try_borrow().ok()?, Option::as_deref).ok()
    }

    /// The module in it, where that is what a handle leads to.
    #[inline]
    pub fn get(&self, epoch: NonZeroU64) -> Option<Ref<'_, Module<P>>> {
        self.module().filter(|module| module.epoch.get() == Some(epoch))
    }

    /// The module in it, to be changed, unless it is borrowed.
    #[inline]
    pub fn try_borrow_mut(&self) -> Option<RefMut<'_, SlotContents<P>>> {
        self.module.try_borrow_mut().ok()
    }

    /// Whether a call of its module is under way, or it is pinned.
    pub fn is_borrowed(&self) -> bool {
        self.try_borrow_mut().is_none()
    }

    /// Takes the module out, unless it is borrowed. The slot stays reserved.
    #[inline(always)]
    pub fn take(&self) -> Option<Module<P>> {
        self.try_borrow_mut()?.take().map(ManuallyDrop::into_inner)
    }
}

/// All slots, and all names.
pub(crate) struct Registry<P: Platform> {
    slots: StableVec<Slot<P>, P::Alloc>,
    names: StableVec<NameEntry, P::Alloc>,
    /// The first slot that is nobody's.
    vacant: Cell<Index>,
    /// The first name that is nobody's.
    vacant_name: Cell<Index>,
    /// The name that is looked at next for one that nobody uses.
    eviction_cursor: Cell<Index>,
    /// Where the chains of names begin.
    hash_index: HashIndex<P::Alloc>,
    last_epoch: Cell<u64>,
}

/// What a load is given before there is a module: a slot, and its name.
pub(crate) struct Reservation<'registry, P: Platform> {
    pub slot: &'registry Slot<P>,
    pub name_entry: &'registry NameEntry,
}

impl<P: Platform> Registry<P> {
    /// A registry without modules.
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

    /// A slot for a module of that name, of which that is known, which is the caller's until it fills or releases
    /// it. `None` when there is no memory.
    #[inline(always)]
    pub fn reserve<'registry>(
        &'registry self,
        known: Option<&'registry NameEntry>,
        name: &Name,
        allocator: &P::Alloc,
    ) -> Option<Reservation<'registry, P>> {
        let name_entry = self.reserve_name(known, name, allocator)?;
        let slot = self.reserve_slot(allocator);
        if slot.is_none() {
            self.release_name(name_entry);
        }
        Some(Reservation { slot: slot?, name_entry })
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

    /// Adds a slot; `None` when there is no memory.
    #[cold]
    #[inline(never)]
    fn add_slot(&self, allocator: &P::Alloc) -> Option<&Slot<P>> {
        let blank = |index| Slot { module: RefCell::new(None), index, next: Cell::new(NIL) };
        self.slots.add(allocator, blank)
    }

    /// Takes back a slot that nobody is in, and the name if it was never anybody's.
    #[inline]
    pub fn release(&self, slot: &Slot<P>, name_entry: Option<&NameEntry>) {
        slot.next.set(self.vacant.replace(slot.index()));
        if let Some(name_entry) = name_entry {
            self.release_name(name_entry);
        }
    }

    /// The epoch of the next load.
    pub fn next_epoch(&self) -> NonZeroU64 {
        self.last_epoch.set(self.last_epoch.get() + 1);
        NonZeroU64::new(self.last_epoch.get()).unwrap_or(NonZeroU64::MAX)
    }

    /// The slot of that index, reserved or not.
    #[inline]
    pub fn slot(&self, index: usize) -> Option<&Slot<P>> {
        self.slots.get(index)
    }

    /// The module that `id` leads to.
    #[inline(always)]
    pub fn get(&self, id: ModuleId) -> Option<Ref<'_, Module<P>>> {
        self.slot(id.index)?.get(id.epoch)
    }

    /// The handles of all modules, in the order of their slots.
    pub fn ids(&self) -> impl Iterator<Item = ModuleId> {
        let there =
            |index| self.slot(index)?.module().filter(|module| module.lifecycle.state() != ModuleState::Loading);
        (0..self.slots.len() as usize)
            .filter_map(move |index| Some(ModuleId { index, epoch: there(index)?.epoch.get()? }))
    }

    /// The handles of all modules of a name, the one loaded last first.
    pub fn versions<'registry>(
        &'registry self,
        name_entry: Option<&NameEntry>,
    ) -> impl Iterator<Item = ModuleId> + use<'registry, P> {
        let there = |index: Index| (index != NIL).then_some(index as usize);
        let next = move |&index: &usize| there(self.slot(index)?.next.get());
        core::iter::successors(name_entry.and_then(|name_entry| there(name_entry.first.get())), next)
            .filter_map(|index| Some(ModuleId { index, epoch: self.slot(index)?.module()?.epoch.get()? }))
    }

    /// Takes a slot in among those whose modules are found by their name.
    pub fn link(&self, slot: &Slot<P>, name_entry: &NameEntry) {
        slot.next.set(name_entry.first.replace(slot.index()));
    }

    /// Takes it out again.
    #[inline]
    pub fn unlink(&self, slot: &Slot<P>, name_entry: &NameEntry) {
        let mut before = &name_entry.first;
        while before.get() != slot.index() {
            let Some(other) = self.slot(before.get() as usize) else { return };
            before = &other.next;
        }
        before.set(slot.next.replace(NIL));
    }

    /// Empties all slots.
    pub fn drain(&mut self) -> impl Iterator<Item = Module<P>> {
        self.slots.iter_mut().filter_map(|slot| slot.module.get_mut().take().map(ManuallyDrop::into_inner))
    }
}
