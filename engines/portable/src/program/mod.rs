//! The program of the interpreter's blobs: a module as the runner takes it, in one piece behind the runner's own constants.
//!
//! The engine prepares all that can be known before: the module's code is there without its memory and its active
//! segments, whose contents follow it ([`Program`]). A place in the runner's data, which begins with [`ATTACHMENT_MARK`],
//! says where the program, the instance and the memory lie ([`Attachment`]).
//!
//! ```text
//! attachment.rs    the places in the runner that the engine finds and fills in
//! exports.rs       the names of the runner's exports
//! words.rs         numbers of 4 bytes each
//! ```

mod attachment;
pub mod exports;
mod words;

use alloc::vec::Vec;

pub use attachment::{ATTACHMENT_MARK, Attachment, TRAP_MARK};
pub use words::Words;

use words::words;

/// The setting of a module with a memory.
pub const HAS_MEMORY: u32 = 1;

/// The setting of a module whose entry wants to be called to initialise.
pub const WANTS_INIT: u32 = 2;

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
            self.imports.as_bytes(),
            self.tables.as_bytes(),
            self.functions.as_bytes(),
            self.elements.as_bytes(),
            self.data.as_bytes(),
            self.droppable.as_bytes(),
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
}
