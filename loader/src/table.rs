//! The table of loaded modules, and what their names stand for.
//!
//! A place in it never moves: it can be filled and emptied while calls of the
//! modules in other places are under way. A call borrows its own place.

use core::cell::{Cell, OnceCell, Ref, RefCell};

use allocator_api2::vec::Vec;
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::module::{Module, ModuleId, State};
use crate::name::{Key, Name};
use crate::platform::Platform;

/// Places of the first chunk; each further one has twice as many.
const FIRST_CHUNK: usize = 64;

/// Chunks at the most: more places than there is memory for.
const CHUNKS: usize = 40;

/// A place for a module.
pub(crate) type Place<P> = RefCell<Option<Module<P>>>;

/// What is known of a name.
#[derive(Clone, Copy, Default)]
pub(crate) struct Named {
    /// The module that is meant by it.
    pub active: Option<ModuleId>,
    /// The place of the first of all modules of that name; each knows the next one.
    pub first: Option<usize>,
    /// How many loads of it there were.
    pub generation: u32,
}

/// All places, and all names.
pub(crate) struct Table<P: Platform> {
    chunks: [OnceCell<Vec<Place<P>, P::Tables>>; CHUNKS],
    /// Places that were ever claimed: those before this one.
    end: Cell<usize>,
    /// Claimed places that are free again; there is always room for all of them.
    vacant: RefCell<Vec<usize, P::Tables>>,
    names: RefCell<HashMap<Key, Named, FxBuildHasher, P::Tables>>,
    loads: Cell<u64>,
}

impl<P: Platform> Table<P> {
    /// A table without modules.
    pub fn new(tables: &P::Tables) -> Table<P> {
        Table {
            chunks: [const { OnceCell::new() }; CHUNKS],
            end: Cell::new(0),
            vacant: RefCell::new(Vec::new_in(tables.clone())),
            names: RefCell::new(HashMap::with_hasher_in(FxBuildHasher, tables.clone())),
            loads: Cell::new(0),
        }
    }

    /// A place for a module of that name, which is the caller's until it fills it or
    /// gives it back. `None` when there is no memory.
    pub fn claim(&self, name: Name, tables: &P::Tables) -> Option<usize> {
        let mut names = self.names.try_borrow_mut().ok()?;
        names.try_reserve(1).ok()?;
        let mut vacant = self.vacant.try_borrow_mut().ok()?;
        let index = match vacant.pop() {
            Some(index) => index,
            None => {
                let index = self.end.get();
                vacant.try_reserve(index + 1).ok()?;
                let (chunk, _) = locate(index);
                let chunk_size = FIRST_CHUNK << chunk;
                let chunk = self.chunks.get(chunk)?;
                if chunk.get().is_none() {
                    let mut places = Vec::new_in(tables.clone());
                    places.try_reserve_exact(chunk_size).ok()?;
                    places.resize_with(chunk_size, || RefCell::new(None));
                    // It was just found to be empty.
                    let _ = chunk.set(places);
                }
                self.end.set(index + 1);
                index
            }
        };
        names.entry(Key::from(&name)).or_default();
        Some(index)
    }

    /// Takes back a place that nobody is in, and the name if it was never anybody's.
    pub fn give_back(&self, index: usize, name: &Name) {
        // There is room, and nobody else borrows these for longer than a moment.
        self.vacant.borrow_mut().push(index);
        let mut names = self.names.borrow_mut();
        let key = Key::from(name);
        if names.get(&key).is_some_and(|named| named.generation == 0) {
            names.remove(&key);
        }
    }

    /// Puts a module into a place that was claimed for it.
    pub fn fill(&self, index: usize, module: Module<P>) {
        // Nobody borrows an empty place.
        if let Some(mut place) = self.place(index).and_then(|place| place.try_borrow_mut().ok()) {
            *place = Some(module);
        }
    }

    /// Takes the module out of a place, unless it is borrowed. The place stays claimed.
    pub fn empty(&self, index: usize) -> Option<Module<P>> {
        self.place(index)?.try_borrow_mut().ok()?.take()
    }

    /// The number of the next load.
    pub fn next_load(&self) -> u64 {
        self.loads.set(self.loads.get() + 1);
        self.loads.get()
    }

    /// The place of that index, claimed or not.
    #[inline]
    pub fn place(&self, index: usize) -> Option<&Place<P>> {
        let (chunk, offset) = locate(index);
        self.chunks.get(chunk)?.get()?.get(offset)
    }

    /// The module that `id` leads to.
    pub fn get(&self, id: ModuleId) -> Option<Ref<'_, Module<P>>> {
        self.at(id.index).filter(|module| module.load == id.load)
    }

    /// Whether a call of the module that `id` leads to is under way, or somebody holds on to it.
    pub fn is_borrowed(&self, id: ModuleId) -> bool {
        self.place(id.index).is_some_and(|place| place.try_borrow_mut().is_err())
    }

    /// The module in a place.
    pub fn at(&self, index: usize) -> Option<Ref<'_, Module<P>>> {
        Ref::filter_map(self.place(index)?.try_borrow().ok()?, Option::as_ref).ok()
    }

    /// The handles of all modules, in the order of their places.
    pub fn ids(&self) -> impl Iterator<Item = ModuleId> {
        let there = |index| self.at(index).filter(|module| module.state.get() != State::Preparing);
        (0..self.end.get()).filter_map(move |index| Some(ModuleId { index, load: there(index)?.load }))
    }

    /// The handles of all modules of a name, the one loaded last first.
    pub fn versions<'table>(&'table self, name: &Name) -> impl Iterator<Item = ModuleId> + use<'table, P> {
        let at = |index: usize| Some((index, self.at(index)?));
        let first = self.named(name).and_then(|named| named.first).and_then(at);
        core::iter::successors(first, move |(_, module)| module.next.get().and_then(at))
            .map(|(index, module)| ModuleId { index, load: module.load })
    }

    /// What is known of a name.
    #[inline]
    pub fn named(&self, name: &Name) -> Option<Named> {
        self.keyed(&Key::from(name))
    }

    /// What is known of a name, by its key.
    #[inline]
    pub fn keyed(&self, key: &Key) -> Option<Named> {
        self.names.try_borrow().ok()?.get(key).copied()
    }

    /// Changes what is known of a name that was claimed.
    pub fn change(&self, name: &Name, change: impl FnOnce(&mut Named)) {
        if let Some(named) = self.names.borrow_mut().get_mut(&Key::from(name)) {
            change(named);
        }
    }

    /// Takes a module out of the list of those with its name. It keeps its place.
    pub fn unlink(&self, id: ModuleId, module: &Module<P>) {
        if !module.listed.replace(false) {
            return;
        }
        let next = module.next.get();
        if self.named(&module.name).is_some_and(|named| named.first == Some(id.index)) {
            self.change(&module.name, |named| named.first = next);
        } else {
            let mut versions = self.versions(&module.name).filter_map(|other| self.get(other));
            if let Some(before) = versions.find(|other| other.next.get() == Some(id.index)) {
                before.next.set(next);
            }
        }
        module.next.set(None);
    }

    /// Empties all places.
    pub fn drain(&mut self) -> impl Iterator<Item = Module<P>> {
        let chunks = self.chunks.iter_mut().filter_map(OnceCell::get_mut);
        chunks.flat_map(|places| places.iter_mut()).filter_map(|place| place.get_mut().take())
    }
}

/// Which chunk a place lies in, and where.
#[inline]
const fn locate(index: usize) -> (usize, usize) {
    let chunk = (index / FIRST_CHUNK + 1).ilog2();
    (chunk as usize, index - FIRST_CHUNK * ((1 << chunk) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_follow_each_other_without_a_gap() {
        let places: std::vec::Vec<_> = (0..1000).map(locate).collect();
        assert_eq!((places[0], places[63], places[64], places[191]), ((0, 0), (0, 63), (1, 0), (1, 127)));
        for pair in places.windows(2) {
            let follows = if pair[0].0 == pair[1].0 { pair[1].1 == pair[0].1 + 1 } else { pair[1].1 == 0 };
            assert!(follows && pair[1].1 < FIRST_CHUNK << pair[1].0, "{pair:?}");
        }
    }
}
