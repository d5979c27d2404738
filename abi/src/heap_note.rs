//! What a module's allocator notes at the start of its heap, for whoever reads it from outside.

/// Bytes of the note. The allocator's own memory begins behind them.
pub const HEAP_NOTE_SIZE: usize = 16;

/// The note's first word: an allocator is there that keeps the second one.
pub const HEAP_NOTE_MARK: u64 = u64::from_le_bytes(*b"heappeak");

/// Returns the most bytes of a heap of `size` bytes that were allocated at once so far, by the two words it begins with;
/// `None` where they are no note. They are the module's word: the number is limited to the heap's size.
#[must_use]
pub const fn peak_heap_bytes(note: [u64; 2], size: u64) -> Option<u64> {
    match note {
        // Nobody has used it: an allocator notes that it is there before it gives out anything.
        [0, 0] => Some(0),
        [HEAP_NOTE_MARK, peak] => Some(if peak < size { peak } else { size }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn believes_no_more_than_there_is() {
        assert_eq!(peak_heap_bytes([0, 0], 4096), Some(0));
        assert_eq!(peak_heap_bytes([HEAP_NOTE_MARK, 100], 4096), Some(100));
        assert_eq!(peak_heap_bytes([HEAP_NOTE_MARK, u64::MAX], 4096), Some(4096));
        assert_eq!(peak_heap_bytes([1, 100], 4096), None);
        assert_eq!(peak_heap_bytes([0, 100], 4096), None);
    }
}
