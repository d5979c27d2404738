//! The places in the runner that the engine finds and fills in.

use alloc::vec::Vec;

use super::words::{Words, words};

/// The bytes by which the engine finds the place of the [`Attachment`] in the runner's data.
pub const ATTACHMENT_MARK: [u8; 32] = *b"BareFlow: the attached program: ";

/// The bytes behind each instruction of the runner that is a trap; the number of the trap follows, as a digit.
///
/// The runner's assembly contains them as text.
pub const TRAP_MARK: &[u8] = b"BareFlow's trap ";

words! {
    /// The places of what is attached to the runner. Offsets in the data count from the segment's start.
    Attachment {
        /// The offset of the mark in the data.
        own_offset,
        /// The offset of the program in the read-only data.
        program_offset,
        /// The size of the program, in bytes.
        program_bytes,
        /// The offset of the instance in the data.
        instance_offset,
        /// The size of the instance, in bytes.
        instance_bytes,
        /// The offset of the memory in the data; 0 if it lies in a window of its own, whose address is in the instance.
        memory_offset,
        /// The most pages that the memory may have.
        memory_pages,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attachment_has_as_many_bytes_as_words() {
        let attachment = Attachment { own_offset: 1, memory_pages: 7, ..Attachment::default() };
        let bytes = attachment.to_bytes();
        assert_eq!(Attachment::from_bytes(&bytes), Some(attachment));
        assert_eq!(Attachment::from_bytes(&bytes[1..]), None);
    }
}
