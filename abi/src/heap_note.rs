//! The note that a module's allocator keeps at the start of its heap, to be read from outside.

/// The size of the note, in bytes. The allocator's own memory begins after it.
pub const HEAP_NOTE_SIZE: usize = 16;

/// The first word of the note, which marks the second word as valid.
pub const HEAP_NOTE_MARK: u64 = u64::from_le_bytes(*b"heappeak");

/// Returns the peak of allocated bytes of a heap of `size` bytes, by the note in its first two words.
///
/// `None` if they are no note.
///
/// The words are under the module's control, so the number is limited to the heap's size.
#[must_use]
pub const fn peak_heap_bytes(note: [u64; 2], size: u64) -> Option<u64> {
    match note {
        // The heap is unused: an allocator writes its mark before it allocates anything.
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
