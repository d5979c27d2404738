//! What names stand for. A name that was loaded once is known from then on, and keeps its place.

use core::cell::{Cell, RefCell};
use core::hash::BuildHasher;

use allocator_api2::alloc::Allocator;
use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

use super::chunks::Chunks;
use super::{Index, NOWHERE};
use crate::module::ModuleId;
use crate::name::Key;

/// What is known of a name.
pub(crate) struct Named {
    key: Cell<Key>,
    /// The module that is meant by it.
    pub active: Cell<Option<ModuleId>>,
    /// The place of the first of all modules of that name that are found by it; each place knows the next one. Where
    /// the name is nobody's, the next such.
    pub first: Cell<Index>,
    /// How many loads of it there were.
    pub generation: Cell<u32>,
    /// Places that modules of that name have.
    users: Cell<u32>,
}

/// All names.
pub(crate) struct Names<A: Allocator> {
    index: RefCell<HashTable<Index, A>>,
    list: Chunks<Named, A>,
    /// The first element of the list that is nobody's.
    vacant: Cell<Index>,
}

impl<A: Allocator + Clone> Names<A> {
    /// None.
    pub fn new(tables: &A) -> Names<A> {
        let index = RefCell::new(HashTable::new_in(tables.clone()));
        Names { index, list: Chunks::new(), vacant: Cell::new(NOWHERE) }
    }

    /// What is known of a name, by its key.
    #[inline]
    pub fn find(&self, key: &Key) -> Option<&Named> {
        self.get(self.find_index(key)?)
    }

    /// What is known of the name at `index`.
    #[inline]
    pub fn get(&self, index: Index) -> Option<&Named> {
        self.list.get(index)
    }

    /// Where the name lies that a module is about to be loaded by. `None` when there is no memory.
    pub fn claim(&self, key: &Key, tables: &A) -> Option<Index> {
        let index = match self.find_index(key) {
            Some(index) => index,
            None => self.add(key, tables)?,
        };
        let users = &self.get(index)?.users;
        users.set(users.get() + 1);
        Some(index)
    }

    /// Takes back a claim, and the name if it was never loaded.
    pub fn give_back(&self, index: Index) {
        let Some(named) = self.get(index) else { return };
        named.users.set(named.users.get() - 1);
        if named.users.get() == 0 && named.generation.get() == 0 {
            self.forget(index, named);
        }
    }

    #[inline(always)]
    fn find_index(&self, key: &Key) -> Option<Index> {
        self.index.try_borrow().ok()?.find(hash(key), |&index| self.is(index, key)).copied()
    }

    #[inline(always)]
    fn is(&self, index: Index, key: &Key) -> bool {
        self.get(index).is_some_and(|named| named.key.get() == *key)
    }

    fn add(&self, key: &Key, tables: &A) -> Option<Index> {
        let mut names = self.index.try_borrow_mut().ok()?;
        let hash_of = |&index: &Index| self.get(index).map_or(0, |named| hash(&named.key.get()));
        names.try_reserve(1, hash_of).ok()?;
        let index = match self.vacant.get() {
            NOWHERE => self.list.add(tables, Named::blank)?,
            vacant => vacant,
        };
        let named = self.get(index)?;
        if index == self.vacant.get() {
            self.vacant.set(named.first.replace(NOWHERE));
        }
        named.key.set(*key);
        names.insert_unique(hash(key), index, hash_of);
        Some(index)
    }

    #[cold]
    fn forget(&self, index: Index, named: &Named) {
        if let Ok(entry) = self.index.borrow_mut().find_entry(hash(&named.key.get()), |&other| other == index) {
            entry.remove();
            named.first.set(self.vacant.replace(index));
        }
    }
}

impl Named {
    fn blank() -> Named {
        Named {
            key: Cell::new(Key::BLANK),
            active: Cell::new(None),
            first: Cell::new(NOWHERE),
            generation: Cell::new(0),
            users: Cell::new(0),
        }
    }
}

#[inline(always)]
fn hash(key: &Key) -> u64 {
    FxBuildHasher.hash_one(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use allocator_api2::alloc::Global;
    use std::format;

    #[test]
    fn a_name_that_was_never_loaded_makes_room() {
        let names = Names::new(&Global);
        let key = |number: u32| Key::of(&format!("name-{number}")).unwrap();
        for number in 0..1000 {
            let index = names.claim(&key(number), &Global).unwrap();
            assert!(names.find(&key(number)).is_some());
            names.give_back(index);
            assert!(names.find(&key(number)).is_none());
        }
        assert_eq!(names.list.len(), 1);
    }

    #[test]
    fn a_name_stays_as_long_as_somebody_has_it() {
        let names = Names::new(&Global);
        let key = Key::of("name").unwrap();
        let [outer, inner] = [(), ()].map(|()| names.claim(&key, &Global).unwrap());
        assert_eq!(outer, inner);
        names.give_back(inner);
        names.find(&key).unwrap().generation.set(1);
        names.give_back(outer);
        assert_eq!(names.find(&key).unwrap().generation.get(), 1);
    }
}
