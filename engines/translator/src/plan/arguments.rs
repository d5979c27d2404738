//! The arguments of the functions that a module exports: for each function 8 bytes in the read-only data, one for each argument.
//!
//! Such a byte is the argument's kind, and the number of its first word in the input; it is 0 where there is no argument.

use alloc::vec::Vec;

use bareflow_abi::interface::bindings::Entries;
use bareflow_abi::interface::{MAX_ARGUMENTS, Shape};

/// Where the code of the imports `argument_read` and `argument_write` finds what it looks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arguments {
    /// The offset of the bytes in the read-only data.
    pub offset: u32,
    /// The number of functions.
    pub functions: u32,
    /// The offset of the word in the data that has the reason of the call under way.
    pub reason: u32,
}

impl Arguments {
    /// The number of bits of a byte that are the kind.
    pub const KIND_BITS: u32 = 3;

    /// The bits of a byte that are the kind.
    pub const KIND: u8 = (1 << Arguments::KIND_BITS) - 1;
}

/// Returns the bytes for the functions of valid bindings.
pub(super) fn encode(bindings: &[u8]) -> Vec<[u8; MAX_ARGUMENTS]> {
    let exports = Entries::new(bindings).exports();
    exports.flat_map(|(_, export)| export.methods().map(|method| bytes_of(method.shape)).collect::<Vec<_>>()).collect()
}

fn bytes_of(shape: Shape) -> [u8; MAX_ARGUMENTS] {
    let (mut bytes, mut word) = ([0; MAX_ARGUMENTS], 0);
    for (byte, kind) in bytes.iter_mut().zip(shape.kinds()) {
        *byte = kind as u8 | word << Arguments::KIND_BITS;
        word += kind.words() as u8;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use bareflow_abi::interface::ArgumentKind::{Out, Scalar, Slice, SliceMut, Text};

    #[test]
    fn says_each_arguments_kind_and_first_word() {
        assert_eq!(bytes_of(Shape::EMPTY), [0; 8]);
        let shape = Shape::new(true, &[Text, Scalar, SliceMut, Out]);
        assert_eq!(bytes_of(shape), [2, 1 | 2 << 3, 4 | 3 << 3, 5 | 5 << 3, 0, 0, 0, 0]);
        // The last word has the largest number that there can be.
        assert_eq!(bytes_of(Shape::new(false, &[Slice; 8]))[7], 3 | 14 << 3);
    }
}
