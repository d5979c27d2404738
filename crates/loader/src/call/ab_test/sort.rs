//! A heap sort that can be interrupted, so that a server can sort in slices and answer requests in between.
//!
//! The sorts of the standard library run to their end, and a merge sort needs a second buffer.

/// The progress of the sort of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sorting {
    /// The items from this index on satisfy the heap property: none is less than its children.
    Heaping(usize),
    /// The items from this index on are sorted, and none before them is greater; the items before it are a heap.
    Taking(usize),
}

impl Sorting {
    /// Returns the initial state for `length` items.
    pub const fn of(length: usize) -> Sorting {
        Sorting::Heaping(length / 2)
    }

    /// Carries out up to `steps` steps. Returns whether `items` are sorted.
    ///
    /// A step takes time logarithmic in the length.
    pub fn advance(&mut self, items: &mut [u64], steps: usize) -> bool {
        for _ in 0..steps {
            *self = match *self {
                Sorting::Heaping(0) => Sorting::Taking(items.len()),
                Sorting::Heaping(index) => {
                    sift_down(items, index - 1);
                    Sorting::Heaping(index - 1)
                }
                Sorting::Taking(0 | 1) => return true,
                Sorting::Taking(end) => {
                    items.swap(0, end - 1);
                    if let Some(heap) = items.get_mut(..end - 1) {
                        sift_down(heap, 0);
                    }
                    Sorting::Taking(end - 1)
                }
            };
        }
        false
    }
}

/// Moves the item at `index` down until none of its children is greater.
fn sift_down(heap: &mut [u64], mut index: usize) {
    loop {
        let left = 2 * index + 1;
        let greater = match (heap.get(left), heap.get(left + 1)) {
            (Some(first), Some(second)) if second > first => left + 1,
            (Some(_), _) => left,
            (None, _) => return,
        };
        if heap.get(index) >= heap.get(greater) {
            return;
        }
        heap.swap(index, greater);
        index = greater;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn sorts_as_the_library_does_in_steps_of_any_size(
            items in prop::collection::vec(0_u64..50, 0..200),
            steps in 1_usize..40,
        ) {
            let mut found = items.clone();
            let mut sorting = Sorting::of(found.len());
            let mut rounds = 0;
            while !sorting.advance(&mut found, steps) {
                rounds += 1;
                prop_assert!(rounds <= 2 * items.len() + 2);
            }
            let mut expected = items;
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_step_moves_few_items_only() {
        let mut items: Vec<u64> = (0..100_000).rev().collect();
        let mut sorting = Sorting::of(items.len());
        while matches!(sorting, Sorting::Heaping(_)) {
            assert!(!sorting.advance(&mut items, 1));
        }
        let before = items.clone();
        assert!(!sorting.advance(&mut items, 1));
        let moved = items.iter().zip(&before).filter(|(now, before)| now != before).count();
        assert!((1..=18).contains(&moved), "{moved}");
    }
}
