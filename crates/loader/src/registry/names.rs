//! Interned module names, and the modules that they stand for.
//!
//! A name that was loaded once keeps its index and its count of loads. Once there are many names
//! ([`EVICTION_THRESHOLD`]), a new one replaces an unused one. Names whose keys have the same hash are in one chain.

use core::cell::Cell;

use super::{NIL, Registry};
use crate::module::{Index, ModuleId};
use crate::name::{Key, Name};
use crate::platform::Platform;

/// The number of names up to which unused ones are kept.
const EVICTION_THRESHOLD: u32 = 1024;

/// The number of names that are checked for an unused one.
///
/// That is enough to find one if most are unused, and little work if none is.
const EVICTION_SCAN: u32 = 16;

/// The registry's entry for a name.
pub(crate) struct NameEntry {
    key: Cell<Key>,
    index: Index,
    /// The next name in the same chain; for a vacant entry, the next vacant one.
    next: Cell<Index>,
    /// The number of slots that modules of this name have.
    refcount: Cell<u32>,
    /// The number of loads of this name.
    pub generation: Cell<u32>,
    /// The slot of the first published module of this name; each slot has the index of the next one.
    pub first: Cell<Index>,
    /// The active module of this name.
    pub active: Cell<Option<ModuleId>>,
}

impl NameEntry {
    /// Creates a vacant entry.
    pub const fn blank(index: Index) -> NameEntry {
        NameEntry {
            key: Cell::new(Key::BLANK),
            index,
            next: Cell::new(NIL),
            refcount: Cell::new(0),
            generation: Cell::new(0),
            first: Cell::new(NIL),
            active: Cell::new(None),
        }
    }

    /// Returns the entry's index.
    pub const fn index(&self) -> Index {
        self.index
    }
}

impl<P: Platform> Registry<P> {
    /// Returns the entry for a name.
    #[inline(always)]
    pub fn name_entry(&self, name: &Name) -> Option<&NameEntry> {
        self.find(&Key::from(name))
    }

    /// Returns the entry for a name's key.
    #[inline(always)]
    pub fn find(&self, key: &Key) -> Option<&NameEntry> {
        let mut name_entry = self.name_at(self.hash_index.of(key)?.get())?;
        while name_entry.key.get() != *key {
            name_entry = self.name_at(name_entry.next.get())?;
        }
        Some(name_entry)
    }

    /// Returns the entry with the given index.
    #[inline]
    pub fn name_at(&self, index: Index) -> Option<&NameEntry> {
        self.names.get(index as usize)
    }

    /// Reserves the name of a module that is about to be loaded; `known` is its entry, if there is one.
    ///
    /// `None` if there is no memory.
    #[inline(always)]
    pub(super) fn reserve_name<'registry>(
        &'registry self,
        known: Option<&'registry NameEntry>,
        name: &Name,
        allocator: &P::Alloc,
    ) -> Option<&'registry NameEntry> {
        let name_entry = match known {
            Some(name_entry) => name_entry,
            None => self.intern(&Key::from(name), allocator)?,
        };
        name_entry.refcount.set(name_entry.refcount.get() + 1);
        Some(name_entry)
    }

    /// Releases a reservation, and evicts the name if it was never loaded.
    #[inline]
    pub(super) fn release_name(&self, name_entry: &NameEntry) {
        name_entry.refcount.set(name_entry.refcount.get() - 1);
        if name_entry.refcount.get() == 0 && name_entry.generation.get() == 0 {
            self.evict(name_entry);
        }
    }

    #[cold]
    #[inline(never)]
    fn intern(&self, key: &Key, allocator: &P::Alloc) -> Option<&NameEntry> {
        if self.vacant_name.get() == NIL && self.names.len() >= EVICTION_THRESHOLD {
            self.evict_unused();
        }
        let name_entry = match self.vacant_name.get() {
            NIL => self.add_name(allocator)?,
            vacant => self.name_at(vacant)?,
        };
        self.vacant_name.set(name_entry.next.get());
        name_entry.key.set(*key);
        self.link_into_chain(name_entry);
        Some(name_entry)
    }

    /// Evicts the next unused name, if there is one among the next few.
    fn evict_unused(&self) {
        let count = self.names.len();
        let from = self.eviction_cursor.get();
        for index in (from..from + EVICTION_SCAN).map(|index| index % count) {
            self.eviction_cursor.set((index + 1) % count);
            if let Some(name_entry) = self.name_at(index).filter(|name_entry| name_entry.refcount.get() == 0) {
                return self.evict(name_entry);
            }
        }
    }

    /// Adds an entry, and doubles the number of chains once there are as many names.
    ///
    /// `None` if there is no memory.
    fn add_name(&self, allocator: &P::Alloc) -> Option<&NameEntry> {
        let chains = self.hash_index.len();
        // If there is no memory for more chains, the chains become longer.
        if chains == 0 {
            self.hash_index.grow(allocator)?;
        } else if self.names.len() as usize >= chains && self.hash_index.grow(allocator).is_some() {
            let all = (0..self.names.len()).filter_map(|index| self.name_at(index));
            all.for_each(|name_entry| self.link_into_chain(name_entry));
        }
        self.names.add(allocator, NameEntry::blank)
    }

    #[cold]
    #[inline(never)]
    fn evict(&self, name_entry: &NameEntry) {
        let mut before = self.hash_index.of(&name_entry.key.get());
        while let Some(link) = before.filter(|link| link.get() != name_entry.index) {
            before = self.name_at(link.get()).map(|name_entry| &name_entry.next);
        }
        if let Some(link) = before {
            link.set(name_entry.next.get());
        }
        name_entry.key.set(Key::BLANK);
        name_entry.generation.set(0);
        name_entry.next.set(self.vacant_name.replace(name_entry.index));
    }

    /// Adds an entry to the chain of its key.
    fn link_into_chain(&self, name_entry: &NameEntry) {
        if let Some(chain) = self.hash_index.of(&name_entry.key.get()) {
            name_entry.next.set(chain.replace(name_entry.index));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Timing;
    use crate::testing::{FakePlatform, blob, manager};
    use allocator_api2::alloc::Global;
    use std::format;
    use std::vec::Vec;

    type Names<'platform> = Registry<&'platform FakePlatform>;

    fn name(number: u32) -> Name {
        Name::new(&format!("name-{number}")).unwrap()
    }

    #[test]
    fn a_name_that_was_never_loaded_makes_room() {
        let registry = Names::new();
        for number in 0..1000 {
            let name_entry = registry.reserve_name(None, &name(number), &Global).unwrap();
            assert!(registry.name_entry(&name(number)).is_some());
            registry.release_name(name_entry);
            assert!(registry.name_entry(&name(number)).is_none());
        }
        assert_eq!(registry.names.len(), 1);
    }

    #[test]
    fn a_name_stays_as_long_as_somebody_has_it() {
        let (registry, name) = (Names::new(), name(0));
        let [outer, inner] =
            [(), ()].map(|()| registry.reserve_name(registry.name_entry(&name), &name, &Global).unwrap());
        assert_eq!(outer.index(), inner.index());
        registry.release_name(inner);
        registry.name_entry(&name).unwrap().generation.set(1);
        registry.release_name(outer);
        assert_eq!(registry.name_entry(&name).unwrap().generation.get(), 1);
    }

    #[test]
    fn names_that_stay_keep_no_slots() {
        let platform = FakePlatform::default();
        let manager = manager(&platform, Timing::Fast);
        for number in 0..200 {
            let id = manager.load(&blob::version(name(number).as_str(), 1, 0)).unwrap();
            manager.unload(id).unwrap();
        }
        assert_eq!((manager.registry.slots.len(), manager.registry.names.len()), (1, 200));
    }

    #[test]
    fn names_that_nobody_uses_are_evicted_once_there_are_many() {
        let platform = FakePlatform::default();
        let manager = manager(&platform, Timing::Fast);
        let used = manager.load(&blob::version("used", 1, 0)).unwrap();
        for number in 0..3 * EVICTION_THRESHOLD {
            let id = manager.load(&blob::version(name(number).as_str(), 1, 0)).unwrap();
            assert_eq!(manager.stats(id).unwrap().generation, 1);
            manager.unload(id).unwrap();
        }
        assert_eq!(manager.registry.names.len(), EVICTION_THRESHOLD);
        // The count of loads is still known for the last names; an evicted name starts from 1.
        for (number, generation) in [(3 * EVICTION_THRESHOLD - 7, 2), (7, 1)] {
            let id = manager.load(&blob::version(name(number).as_str(), 1, 0)).unwrap();
            assert_eq!(manager.stats(id).unwrap().generation, generation);
        }
        assert_eq!(manager.find("used"), Some(used));
    }

    #[test]
    fn finds_every_name_while_there_come_more_and_some_go() {
        let registry = Names::new();
        let mut there = Vec::new();
        for number in 0..10_000 {
            let name_entry = registry.reserve_name(None, &name(number), &Global).unwrap();
            if number % 3 == 0 {
                registry.release_name(name_entry);
            } else {
                there.push((name(number), name_entry.index()));
            }
        }
        assert!(
            there
                .iter()
                .all(|(name, index)| registry.name_entry(name).is_some_and(|name_entry| name_entry.index() == *index))
        );
        assert!((0..10_000).step_by(3).all(|number| registry.name_entry(&name(number)).is_none()));
        assert!(registry.find(&Key::BLANK).is_none());
        let length = |name: &Name| {
            let first = registry.hash_index.of(&Key::from(name)).unwrap().get();
            core::iter::successors(registry.name_at(first), |name_entry| registry.name_at(name_entry.next.get()))
                .count()
        };
        let longest = there.iter().map(|(name, _)| length(name)).max();
        assert!(longest < Some(10), "a chain of {longest:?} names");
    }
}
