//! The text: pieces of code one after the other, and the distances between them.

use alloc::format;
use alloc::vec::Vec;

use bareflow_abi::layout::MAX_SEGMENT_SIZE;
use bareflow_portable::refusal::Refusal;

use crate::symbols::Symbol;

/// The alignment of functions, in bytes.
const ALIGNMENT: usize = 16;

/// The instruction between functions, which traps: `int3`.
const FILLING: u8 = 0xcc;

/// A piece of code.
pub(crate) struct Piece {
    pub offset: u32,
    pub size: u32,
    pub symbol: Symbol,
}

/// A distance in the code that is not yet known.
pub(super) struct Relocation {
    pub at: u32,
    pub addend: i32,
    pub target: Symbol,
}

/// Code, of which the distances are not yet known.
#[derive(Default)]
pub(super) struct Text {
    pub bytes: Vec<u8>,
    /// The pieces, in ascending order.
    pub pieces: Vec<Piece>,
    pub relocations: Vec<Relocation>,
}

impl Text {
    /// Appends code. Returns its offset.
    pub fn append(&mut self, symbol: Symbol, code: &[u8]) -> Result<u32, Refusal> {
        let offset = self.bytes.len().next_multiple_of(ALIGNMENT);
        if (offset + code.len()) as u64 > MAX_SEGMENT_SIZE {
            return Err(Refusal::too_large(format!(
                "the code has more than {MAX_SEGMENT_SIZE} bytes; use fewer functions"
            )));
        }
        self.bytes.resize(offset, FILLING);
        self.bytes.extend_from_slice(code);
        self.pieces.push(Piece { offset: offset as u32, size: code.len() as u32, symbol });
        Ok(offset as u32)
    }

    /// Writes all distances; `place_of` returns where code or data begins, from the text's start.
    pub fn link(&mut self, place_of: impl Fn(Symbol) -> u64) {
        for relocation in &self.relocations {
            let target = place_of(relocation.target).cast_signed();
            // An image spans less than 2 GiB.
            let distance = (target + i64::from(relocation.addend) - i64::from(relocation.at)) as i32;
            let at = relocation.at as usize;
            self.bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes());
        }
    }
}
