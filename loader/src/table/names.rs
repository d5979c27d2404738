//! What names stand for. A name that was loaded once is known from then on, and keeps its place.

use core::cell::{Cell, RefCell};
use core::hash::BuildHasher;

use allocator_api2::alloc::Allocator;
use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

use super::chunks::Chunks;
use super::{Index, NOWHERE};
use crate::module::ModuleId;
use crate::name::{Key, Name};

/// What is known of a name.
pub(crate) struct Named {
    key: Cell<Key>,
    /// Its own number.
    index: Cell<Index>,
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
        let mut found = None;
        // What it looks at last is what is meant.
        let is = |&index: &Index| {
            found = self.get(index);
            found.is_some_and(|named| named.key.get() == *key)
        };
        self.index.try_borrow().ok()?.find(hash(key), is)?;
        found
    }

    /// What is known of the name at `index`.
    #[inline]
    pub fn get(&self, index: Index) -> Option<&Named> {
        self.list.get(index as usize)
    }

    /// The name that a module is about to be loaded by; `known` is what `find` gave. `None` when there is no memory.
    #[inline(always)]
    pub fn claim<'names>(&'names self, known: Option<&'names Named>, name: &Name, tables: &A) -> Option<&'names Named> {
        let named = match known {
            Some(named) => named,
            None => self.add(&Key::from(name), tables)?,
        };
        named.users.set(named.users.get() + 1);
        Some(named)
    }

    /// Takes back a claim, and the name if it was never loaded.
    #[inline]
    pub fn give_back(&self, named: &Named) {
        named.users.set(named.users.get() - 1);
        if named.users.get() == 0 && named.generation.get() == 0 {
            self.forget(named);
        }
    }

    #[cold]
    fn add(&self, key: &Key, tables: &A) -> Option<&Named> {
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
        named.index.set(index);
        names.insert_unique(hash(key), index, hash_of);
        Some(named)
    }

    #[cold]
    fn forget(&self, named: &Named) {
        let index = named.index.get();
        if let Ok(entry) = self.index.borrow_mut().find_entry(hash(&named.key.get()), |&other| other == index) {
            entry.remove();
            named.first.set(self.vacant.replace(index));
        }
    }
}

impl Named {
    /// Its own number.
    pub const fn index(&self) -> Index {
        self.index.get()
    }

    fn blank() -> Named {
        Named {
            key: Cell::new(Key::BLANK),
            index: Cell::new(NOWHERE),
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
        let name = |number: u32| Name::new(&format!("name-{number}")).unwrap();
        let key = |number| Key::from(&name(number));
        for number in 0..1000 {
            let named = names.claim(None, &name(number), &Global).unwrap();
            assert!(names.find(&key(number)).is_some());
            names.give_back(named);
            assert!(names.find(&key(number)).is_none());
        }
        assert_eq!(names.list.len(), 1);
    }

    #[test]
    fn a_name_stays_as_long_as_somebody_has_it() {
        let names = Names::new(&Global);
        let name = Name::new("name").unwrap();
        let key = Key::from(&name);
        let [outer, inner] = [(), ()].map(|()| names.claim(names.find(&key), &name, &Global).unwrap());
        assert_eq!(outer.index(), inner.index());
        names.give_back(inner);
        names.find(&key).unwrap().generation.set(1);
        names.give_back(outer);
        assert_eq!(names.find(&key).unwrap().generation.get(), 1);
    }
}
