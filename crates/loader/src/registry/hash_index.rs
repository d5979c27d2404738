//! Bucket heads of the name hash table.
//!
//! Growing allocates a table of twice the size. The old tables are kept because the loader never moves its tables.
//!
//! This is no `hashbrown` table: that one moves its entries when it grows, so none could be borrowed during a call, and
//! its code took 2.3 KB more in the least kernel that embeds the loader, whose loader is 8 KB. Linked chains in a
//! [`StableVec`](super::stable_vec::StableVec) need neither.

use core::cell::{Cell, OnceCell};

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;

use super::NIL;
use crate::module::Index;
use crate::name::Key;

/// The number of chains in the first table; a power of two.
const FIRST_LIST: usize = 64;

/// The maximum number of tables, enough for eight million names.
const LISTS: usize = 18;

/// The tables, of which the last one is in use.
pub(crate) struct HashIndex<A: Allocator> {
    lists: [OnceCell<Vec<Cell<Index>, A>>; LISTS],
    /// The index of the table in use.
    last: Cell<usize>,
}

impl<A: Allocator + Clone> HashIndex<A> {
    /// Creates an index without chains.
    pub const fn new() -> HashIndex<A> {
        HashIndex { lists: [const { OnceCell::new() }; LISTS], last: Cell::new(0) }
    }

    /// Returns the number of chains.
    pub fn len(&self) -> usize {
        self.lists.get(self.last.get()).and_then(OnceCell::get).map_or(0, Vec::len)
    }

    /// Returns the head of the chain for `key`.
    #[inline(always)]
    pub fn of(&self, key: &Key) -> Option<&Cell<Index>> {
        let list = self.lists.get(self.last.get())?.get()?;
        // The length is a power of two.
        list.get(key.hash() as usize & list.len().wrapping_sub(1))
    }

    /// Doubles the number of chains, or creates the first ones, all of them empty.
    ///
    /// `None` if there is no memory; then the old chains stay in use.
    pub fn grow(&self, allocator: &A) -> Option<()> {
        let next = self.last.get() + usize::from(self.len() > 0);
        let (size, list) = (FIRST_LIST << next, self.lists.get(next)?);
        let mut chains = Vec::new_in(allocator.clone());
        chains.try_reserve_exact(size).ok()?;
        chains.resize_with(size, || Cell::new(NIL));
        list.get_or_init(|| chains);
        self.last.set(next);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allocator_api2::alloc::Global;

    #[test]
    fn doubles_until_there_are_no_more_lists() {
        let hash_index = HashIndex::new();
        assert!(hash_index.len() == 0 && hash_index.of(&Key::BLANK).is_none());
        for size in (0..LISTS).map(|list| FIRST_LIST << list) {
            assert_eq!(hash_index.grow(&Global), Some(()));
            assert_eq!((hash_index.len(), hash_index.of(&Key::BLANK).map(Cell::get)), (size, Some(NIL)));
        }
        assert_eq!((hash_index.grow(&Global), hash_index.len()), (None, FIRST_LIST << (LISTS - 1)));
    }
}
