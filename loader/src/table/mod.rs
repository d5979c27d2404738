//! The table of loaded modules, and what their names stand for.
//!
//! A place in it never moves: it can be filled and emptied while calls of the
//! modules in other places are under way. A call borrows its own place.

mod chunks;
mod names;

use core::cell::{Cell, Ref, RefCell};
use core::num::NonZeroU64;

use chunks::Chunks;
pub(crate) use names::{Named, Names};

use crate::module::{Module, ModuleId, State};
use crate::name::{Key, Name};
use crate::platform::Platform;

/// The number of a place, or of a name.
pub(crate) type Index = u32;

/// The number of none.
pub(crate) const NOWHERE: Index = Index::MAX;

/// A place for a module.
pub(crate) struct Place<P: Platform> {
    pub module: RefCell<Option<Module<P>>>,
    /// The place of the next module of its name; of a vacant one, the next vacant place.
    next: Cell<Index>,
}

/// All places, and all names.
pub(crate) struct Table<P: Platform> {
    places: Chunks<Place<P>, P::Tables>,
    /// The first place that is nobody's.
    vacant: Cell<Index>,
    pub names: Names<P::Tables>,
    loads: Cell<u64>,
}

/// What a load is given before there is a module: a place, and its name.
#[derive(Clone, Copy)]
pub(crate) struct Claim {
    pub place: Index,
    pub name: Index,
}

impl<P: Platform> Table<P> {
    /// A table without modules.
    pub fn new(tables: &P::Tables) -> Table<P> {
        Table { places: Chunks::new(), vacant: Cell::new(NOWHERE), names: Names::new(tables), loads: Cell::new(0) }
    }

    /// A place for a module of that name, which is the caller's until it fills it or
    /// gives it back. `None` when there is no memory.
    pub fn claim(&self, name: &Name, tables: &P::Tables) -> Option<Claim> {
        let name = self.names.claim(&Key::from(name), tables)?;
        let place = self.claim_place(tables);
        if place.is_none() {
            self.names.give_back(name);
        }
        Some(Claim { place: place?, name })
    }

    fn claim_place(&self, tables: &P::Tables) -> Option<Index> {
        let blank = || Place { module: RefCell::new(None), next: Cell::new(NOWHERE) };
        match self.vacant.get() {
            NOWHERE => self.places.add(tables, blank),
            vacant => {
                self.vacant.set(self.places.get(vacant)?.next.replace(NOWHERE));
                Some(vacant)
            }
        }
    }

    /// Takes back a place that nobody is in, and the name if it was never anybody's.
    pub fn give_back(&self, claim: Claim) {
        if let Some(place) = self.places.get(claim.place) {
            place.next.set(self.vacant.replace(claim.place));
        }
        self.names.give_back(claim.name);
    }

    /// Puts a module into a place that was claimed for it.
    #[inline(always)]
    pub fn fill(&self, claim: Claim, module: Module<P>) {
        // Nobody borrows an empty place.
        if let Some(mut place) = self.places.get(claim.place).and_then(|place| place.module.try_borrow_mut().ok()) {
            *place = Some(module);
        }
    }

    /// Takes the module out of a place, unless it is borrowed. The place stays claimed.
    #[inline(always)]
    pub fn empty(&self, index: Index) -> Option<Module<P>> {
        self.place(index)?.try_borrow_mut().ok()?.take()
    }

    /// The number of the next load.
    pub fn next_load(&self) -> NonZeroU64 {
        self.loads.set(self.loads.get() + 1);
        NonZeroU64::new(self.loads.get()).unwrap_or(NonZeroU64::MAX)
    }

    /// The place of that index, claimed or not.
    #[inline(always)]
    pub fn place(&self, index: Index) -> Option<&RefCell<Option<Module<P>>>> {
        Some(&self.places.get(index)?.module)
    }

    /// The module that `id` leads to.
    #[inline]
    pub fn get(&self, id: ModuleId) -> Option<Ref<'_, Module<P>>> {
        self.at(id.index).filter(|module| module.load.get() == Some(id.load))
    }

    /// Whether a call of the module that `id` leads to is under way, or somebody holds on to it.
    pub fn is_borrowed(&self, id: ModuleId) -> bool {
        self.place(id.index).is_some_and(|place| place.try_borrow_mut().is_err())
    }

    /// The module in a place.
    #[inline]
    fn at(&self, index: Index) -> Option<Ref<'_, Module<P>>> {
        Ref::filter_map(self.place(index)?.try_borrow().ok()?, Option::as_ref).ok()
    }

    /// The handles of all modules, in the order of their places.
    pub fn ids(&self) -> impl Iterator<Item = ModuleId> {
        let there = |index| self.at(index).filter(|module| module.state.get() != State::Preparing);
        (0..self.places.len()).filter_map(move |index| Some(ModuleId { index, load: there(index)?.load.get()? }))
    }

    /// The handles of all modules of a name, the one loaded last first.
    pub fn versions<'table>(&'table self, named: Option<&Named>) -> impl Iterator<Item = ModuleId> + use<'table, P> {
        let there = |index: Index| (index != NOWHERE).then_some(index);
        let next = move |&index: &Index| there(self.places.get(index)?.next.get());
        core::iter::successors(named.and_then(|named| there(named.first.get())), next)
            .filter_map(|index| Some(ModuleId { index, load: self.at(index)?.load.get()? }))
    }

    /// What is known of a name.
    #[inline]
    pub fn named(&self, name: &Name) -> Option<&Named> {
        self.names.find(&Key::from(name))
    }

    /// Takes a module in among those that are found by their name.
    pub fn link(&self, id: ModuleId, named: &Named) {
        if let Some(place) = self.places.get(id.index) {
            place.next.set(named.first.replace(id.index));
        }
    }

    /// Takes it out again. It keeps its place.
    pub fn unlink(&self, id: ModuleId, named: &Named) {
        let Some(place) = self.places.get(id.index) else { return };
        let mut before = &named.first;
        while before.get() != id.index {
            let Some(other) = self.places.get(before.get()) else { return };
            before = &other.next;
        }
        before.set(place.next.replace(NOWHERE));
    }

    /// Empties all places.
    pub fn drain(&mut self) -> impl Iterator<Item = Module<P>> {
        self.places.iter_mut().filter_map(|place| place.module.get_mut().take())
    }
}
