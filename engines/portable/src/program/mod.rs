//! The program of the interpreter's blobs: a module as the runner takes it, in one piece behind the runner's own constants.
//!
//! The engine prepares all that can be known before: the module's code is there without its memory and its active
//! segments, whose contents follow it ([`Program`]). A place in the runner's data, which begins with [`ATTACHMENT_MARK`],
//! says where the program, the instance and the memory lie ([`Attachment`]).

use alloc::vec::Vec;

/// The bytes by which the engine finds the place of the [`Attachment`] in the runner's data.
pub const ATTACHMENT_MARK: [u8; 32] = *b"BareFlow: the attached program: ";

/// The bytes behind each instruction of the runner that is a trap; the number of the trap follows, as a digit.
///
/// The runner's assembly contains them as text.
pub const TRAP_MARK: &[u8] = b"BareFlow's trap ";

/// The setting of a module with a memory.
pub const HAS_MEMORY: u32 = 1;

/// The setting of a module whose entry wants to be called to initialise.
pub const WANTS_INIT: u32 = 2;

/// The names of the runner's exports, whatever those of the module are called.
pub mod exports {
    /// The function `run` of the module.
    pub const RUN: &str = "run";
    /// The function `init`.
    pub const INIT: &str = "init";
    /// The function `exit`.
    pub const EXIT: &str = "exit";
    /// The function `bareflow_entry`.
    pub const ENTRY: &str = "entry";
    /// The start function.
    pub const START: &str = "start";
    /// The table of all functions that others can refer to, then of two functions for each segment that can be dropped:
    /// one traps if it is, the other drops it.
    pub const FUNCTIONS: &str = "functions";
    /// The prefix of a global's name, before its number.
    pub const GLOBAL: &str = "g";
    /// The prefix of a table's name, before its number.
    pub const TABLE: &str = "t";
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: u32,)+
        }

        impl $name {
            /// The size, in bytes.
            pub const SIZE: usize = size_of::<$name>();

            /// Returns the bytes.
            #[must_use]
            pub fn to_bytes(self) -> Vec<u8> {
                [$(self.$field),+].into_iter().flat_map(u32::to_le_bytes).collect()
            }

            /// Reads the bytes; `None` if there are fewer or more.
            #[must_use]
            pub fn from_bytes(bytes: &[u8]) -> Option<$name> {
                let mut words = Words::new(bytes)?.iter();
                let read = $name { $($field: words.next()?,)+ };
                words.next().is_none().then_some(read)
            }
        }
    };
}

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

words! {
    /// The numbers of a program.
    Numbers {
        /// [`HAS_MEMORY`] and [`WANTS_INIT`].
        settings,
        /// The pages of the memory at first.
        minimum_pages,
        /// The number of the trap in which making an instance ends, plus one; 0 for none.
        trap,
        /// The number of globals.
        globals,
        /// The offset of the segments' bytes in the instance.
        dropped,
    }
}

/// Numbers of 4 bytes each, little-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words<'bytes>(&'bytes [[u8; 4]]);

impl<'bytes> Words<'bytes> {
    /// Takes bytes as words; `None` if the last is not whole.
    #[must_use]
    pub fn new(bytes: &'bytes [u8]) -> Option<Words<'bytes>> {
        let (words, rest) = bytes.as_chunks();
        rest.is_empty().then_some(Words(words))
    }

    /// Returns the number of words.
    #[must_use]
    pub const fn count(self) -> usize {
        self.0.len()
    }

    /// Returns the word with this number.
    #[must_use]
    pub fn get(self, number: usize) -> Option<u32> {
        self.0.get(number).copied().map(u32::from_le_bytes)
    }

    /// Returns the number of `word` among words in ascending order.
    #[must_use]
    pub fn position(self, word: u32) -> Option<usize> {
        self.0.binary_search_by_key(&word, |bytes| u32::from_le_bytes(*bytes)).ok()
    }

    /// Iterates over the words.
    pub fn iter(self) -> impl Iterator<Item = u32> + use<'bytes> {
        self.0.iter().copied().map(u32::from_le_bytes)
    }
}

/// The number of a program's parts.
const PARTS: usize = 11;

/// A program. Its parts lie one after the other, behind their sizes.
#[derive(Clone, Copy, Debug)]
pub struct Program<'bytes> {
    /// The numbers.
    pub numbers: Numbers,
    /// The number of each [`Import`](crate::imports::Import) that the module imports, in order.
    pub imports: Words<'bytes>,
    /// The offset of each table in the instance.
    pub tables: Words<'bytes>,
    /// The functions that others can refer to, ascending.
    pub functions: Words<'bytes>,
    /// The active element segments: table, offset, the number of elements, the elements as in an instance.
    pub elements: Words<'bytes>,
    /// The active data segments: address and size. Their bytes follow each other.
    pub data: Words<'bytes>,
    /// The bytes of the active data segments.
    pub data_bytes: &'bytes [u8],
    /// A byte for each segment: whether it counts as dropped once the instance is made.
    pub dropped: &'bytes [u8],
    /// The segments that the module may drop, in the order of their functions.
    pub droppable: Words<'bytes>,
    /// The record of bindings; empty if there is none.
    pub bindings: &'bytes [u8],
    /// The module.
    pub wasm: &'bytes [u8],
}

impl<'bytes> Program<'bytes> {
    /// Appends the program to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let numbers = self.numbers.to_bytes();
        let parts: [&[u8]; PARTS] = [
            &numbers,
            self.imports.0.as_flattened(),
            self.tables.0.as_flattened(),
            self.functions.0.as_flattened(),
            self.elements.0.as_flattened(),
            self.data.0.as_flattened(),
            self.droppable.0.as_flattened(),
            self.dropped,
            self.bindings,
            self.data_bytes,
            self.wasm,
        ];
        parts.iter().for_each(|part| out.extend((part.len() as u32).to_le_bytes()));
        parts.iter().for_each(|part| out.extend(*part));
    }

    /// Returns the size of the encoded program, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let words = [self.imports, self.tables, self.functions, self.elements, self.data, self.droppable];
        let words: usize = words.iter().map(|words| words.count() * 4).sum();
        let bytes = [self.dropped, self.bindings, self.data_bytes, self.wasm];
        PARTS * 4 + Numbers::SIZE + words + bytes.iter().map(|part| part.len()).sum::<usize>()
    }

    /// Reads a program; `None` if it is cut off.
    #[must_use]
    pub fn decode(bytes: &'bytes [u8]) -> Option<Program<'bytes>> {
        let (sizes, mut rest) = bytes.split_at_checked(PARTS * 4)?;
        let mut parts: [&[u8]; PARTS] = [&[]; PARTS];
        for (part, size) in parts.iter_mut().zip(Words::new(sizes)?.iter()) {
            (*part, rest) = rest.split_at_checked(size as usize)?;
        }
        let [numbers, imports, tables, functions, elements, data, droppable, dropped, bindings, data_bytes, wasm] =
            parts;
        Some(Program {
            numbers: Numbers::from_bytes(numbers)?,
            imports: Words::new(imports)?,
            tables: Words::new(tables)?,
            functions: Words::new(functions)?,
            elements: Words::new(elements)?,
            data: Words::new(data)?,
            data_bytes,
            dropped,
            droppable: Words::new(droppable)?,
            bindings,
            wasm,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let words = |bytes: &'static [u8]| Words::new(bytes).unwrap();
        let numbers = Numbers { settings: HAS_MEMORY, minimum_pages: 1, trap: 2, globals: 3, dropped: 4 };
        let program = Program {
            numbers,
            imports: words(&[1, 0, 0, 0, 2, 0, 0, 0]),
            tables: words(&[]),
            functions: words(&[1, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 0]),
            elements: words(&[0; 12]),
            data: words(&[7; 8]),
            data_bytes: b"data",
            dropped: &[1, 0],
            droppable: words(&[1, 0, 0, 0]),
            bindings: b"b",
            wasm: b"\0asm",
        };
        let mut bytes = Vec::new();
        program.encode(&mut bytes);
        assert_eq!(bytes.len(), program.size());
        let read = Program::decode(&bytes).unwrap();
        assert_eq!(read.numbers, numbers);
        assert_eq!(read.imports.iter().collect::<Vec<_>>(), [1, 2]);
        assert_eq!((read.functions.position(3), read.functions.position(4)), (Some(1), None));
        assert_eq!(
            (read.data_bytes, read.dropped, read.bindings, read.wasm),
            (&b"data"[..], &[1, 0][..], &b"b"[..], &b"\0asm"[..])
        );
        assert_eq!((read.elements.count(), read.data.get(1), read.data.get(2)), (3, Some(0x0707_0707), None));
        for length in 0..bytes.len() {
            assert!(Program::decode(&bytes[..length]).is_none(), "{length}");
        }
    }

    #[test]
    fn an_attachment_has_as_many_bytes_as_words() {
        let attachment = Attachment { own_offset: 1, memory_pages: 7, ..Attachment::default() };
        let bytes = attachment.to_bytes();
        assert_eq!(Attachment::from_bytes(&bytes), Some(attachment));
        assert_eq!(Attachment::from_bytes(&bytes[1..]), None);
    }
}
