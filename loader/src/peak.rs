//! The most stack and heap that a module's calls have used.

use bareflow_abi::heap_note::peak_heap_bytes;

/// The most that the calls of a module have used so far, since it was loaded or restarted; `None` where nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeakUse {
    /// Bytes of stack, down to the lowest word that is not zero: what was reserved and never written to is left out.
    pub stack_bytes: Option<u64>,
    /// Bytes of heap that were allocated at once, without what the allocator needs for itself.
    pub heap_bytes: Option<u64>,
}

impl PeakUse {
    /// Returns how many bytes of a stack were used that was full of zeros at first, and of which these are all words, from
    /// the lowest address up.
    #[must_use]
    pub fn of_stack(words: &[u64]) -> u64 {
        let untouched = words.iter().take_while(|&&word| word == 0).count();
        size_of_val(words.get(untouched..).unwrap_or_default()) as u64
    }

    /// Returns how many bytes of a heap of `size` bytes were allocated at once, at most, by the two words it begins with;
    /// `None` where the module's allocator does not say so. A module without a heap used none.
    pub fn of_heap(size: u64, note: impl FnOnce() -> [u64; 2]) -> Option<u64> {
        if size == 0 { Some(0) } else { peak_heap_bytes(note(), size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_how_deep_a_stack_was_used() {
        assert_eq!(PeakUse::of_stack(&[0, 0, 7, 0]), 16);
        assert_eq!(PeakUse::of_stack(&[1, 0, 0]), 24);
        assert_eq!(PeakUse::of_stack(&[0; 4]), 0);
        assert_eq!(PeakUse::of_stack(&[]), 0);
    }

    #[test]
    fn a_module_without_a_heap_used_none() {
        assert_eq!(PeakUse::of_heap(0, || unreachable!("there is no note")), Some(0));
        assert_eq!(PeakUse::of_heap(4096, || [1, 2]), None);
    }
}
