//! The peak stack and heap use of a module's calls.

use bareflow_abi::heap_note::peak_heap_bytes;

/// The peak use of a module's calls since it was loaded or restarted; a field is `None` if it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeakUse {
    /// The stack in bytes, down to the lowest nonzero word. Space that was reserved and never written to is left out.
    pub stack_bytes: Option<u64>,
    /// The heap that was allocated at one time, in bytes, without the allocator's own overhead.
    pub heap_bytes: Option<u64>,
}

impl PeakUse {
    /// Returns the used bytes of a stack that was filled with zeros.
    ///
    /// `words` are all of its words, from the lowest address up.
    #[must_use]
    pub fn of_stack(words: &[u64]) -> u64 {
        let untouched = words.iter().take_while(|&&word| word == 0).count();
        size_of_val(words.get(untouched..).unwrap_or_default()) as u64
    }

    /// Returns the peak of allocated bytes of a heap of `size` bytes, as noted in the heap's first two words.
    ///
    /// `None` if the module's allocator leaves no note. A module without a heap used none.
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
