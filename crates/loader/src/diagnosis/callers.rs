//! The callers of the function that faulted: the return addresses on a module's stack.
//!
//! A module's panic handler and its allocator end in an instruction of their own, which does not show who is to blame.
//! Their callers do: the first one that does not belong to a library is the function to look at.

use bareflow_abi::symbols::{Symbol, Symbols};

use super::InFunction;
use crate::format::segments::Segments;

/// The number of return addresses that are kept.
pub const CALLERS: usize = 8;

/// The number of bytes of a stack that are searched for return addresses.
pub const SEARCHED_SIZE: u64 = 2048;

/// The length of the longest `call` instruction without prefixes, in bytes.
const CALL_SIZE: u64 = 7;

/// The return addresses found on a stack, as offsets from the image's base, the last call's first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Callers {
    offsets: [u64; CALLERS],
    count: usize,
}

impl Callers {
    /// An empty list.
    pub const NONE: Callers = Callers { offsets: [0; CALLERS], count: 0 };

    /// Searches `stack`, the bytes from the stack pointer up, for addresses that follow a `call` in the module's text.
    ///
    /// `text` returns the module's bytes by address and length.
    #[must_use]
    pub fn find<'module>(
        segments: &Segments,
        stack: &[u8],
        text: impl Fn(u64, u64) -> Option<&'module [u8]>,
    ) -> Callers {
        let mut found = Callers::NONE;
        for word in stack.as_chunks().0 {
            let address = u64::from_le_bytes(*word);
            let before = address.wrapping_sub(CALL_SIZE);
            if segments.is_text(before, CALL_SIZE) && text(before, CALL_SIZE).is_some_and(ends_in_call) {
                found.push(address - segments.base);
            }
            if found.count == CALLERS {
                break;
            }
        }
        found
    }

    /// Adds an offset if there is room.
    pub fn push(&mut self, offset: u64) {
        if let Some(target) = self.offsets.get_mut(self.count) {
            *target = offset;
            self.count += 1;
        }
    }

    /// Returns the offsets, the last call's first.
    #[must_use]
    pub fn offsets(&self) -> &[u64] {
        self.offsets.get(..self.count).unwrap_or_default()
    }

    /// Returns the position in the first function that does not belong to a library.
    pub(super) fn blamed(&self, symbols: &[u8]) -> Option<InFunction> {
        let place = |&offset: &u64| {
            // A call that never returns may be the last instruction of its function.
            let symbol = Symbols::find(symbols, offset.checked_sub(1)?).filter(is_not_library)?;
            Some(InFunction::new(&symbol, offset))
        };
        self.offsets().iter().find_map(place)
    }
}

/// Returns whether the bytes before a return address are those of a `call`.
///
/// That is E8 with four bytes, or FF /2 with an operand.
///
/// Intel SDM volume 2, CALL.
fn ends_in_call(before: &[u8]) -> bool {
    let is_near = before.len() >= 5 && before[before.len() - 5] == 0xe8;
    let is_indirect = (2..=before.len()).any(|size| {
        let code = &before[before.len() - size..];
        let [0xff, operand, rest @ ..] = code else { return false };
        let (mode, register) = (operand >> 6, operand & 7);
        let scaled = if mode != 3 && register == 4 { rest.first() } else { None };
        let is_wide = mode == 2 || (mode == 0 && (register == 5 || scaled.is_some_and(|scaled| scaled & 7 == 5)));
        let displacement = if is_wide { 4 } else { usize::from(mode == 1) };
        operand >> 3 & 7 == 2 && size == 2 + usize::from(mode != 3 && register == 4) + displacement
    });
    is_near || is_indirect
}

/// Returns whether a function does not belong to a library that panics on behalf of its callers.
///
/// These are `core`, `alloc`, the compiler's functions and the `abi`.
fn is_not_library(symbol: &Symbol<'_>) -> bool {
    let path = symbol.name.trim_start_matches(['<', '&']);
    !["core::", "alloc::", "bareflow_abi::", "__rust", "rust_begin_unwind"].iter().any(|start| path.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::ImageSize;
    use std::vec::Vec;

    #[test]
    fn knows_calls_by_their_bytes() {
        let calls: [&[u8]; 8] = [
            &[0xe8, 1, 2, 3, 4],
            &[0xff, 0xd0],
            &[0xff, 0x10],
            &[0xff, 0x50, 8],
            &[0xff, 0x54, 0x24, 8],
            &[0xff, 0x15, 1, 2, 3, 4],
            &[0xff, 0x94, 0x24, 1, 2, 3, 4],
            &[0xff, 0x14, 0x25, 1, 2, 3, 4],
        ];
        for call in calls {
            let before = [&[0x90; 7][call.len()..], call].concat();
            assert!(ends_in_call(&before), "{call:x?}");
        }
        // No call, a jump, two truncated calls, and a call that is not at the end.
        let others: [&[u8]; 5] = [&[0x90], &[0xff, 0xe0], &[0xff, 0x15, 1], &[0xe8, 1, 2, 3], &[0xff, 0xd0, 0x90]];
        for code in others {
            let before = [&[0x90; 7][code.len()..], code].concat();
            assert!(!ends_in_call(&before), "{code:x?}");
        }
    }

    #[test]
    fn finds_what_follows_calls_and_blames_the_first_that_is_not_the_librarys() {
        let base = 0x4000_0000;
        let segments = Segments {
            base,
            size: ImageSize { text_bytes: 64, rodata_bytes: 0, data_bytes: 0, alignment: 16 },
            heap_bytes: 0,
        };
        // A call ends at each of 10, 20, 30 and 40.
        let mut text = [0x90; 64];
        [10, 20, 30, 40].into_iter().for_each(|at: usize| text[at - 5] = 0xe8);
        let words = [7, base + 9, base + 10, base + 20, base + 30, base + 40, base + 64, u64::MAX];
        let stack: Vec<u8> = words.iter().flat_map(|word: &u64| word.to_le_bytes()).collect();
        let bytes = |at: u64, size: u64| text.get((at - base) as usize..)?.get(..size as usize);
        let found = Callers::find(&segments, &stack, bytes);
        assert_eq!(found.offsets(), [10, 20, 30, 40]);
        let (mut symbols, mut end) = (Vec::new(), 0);
        for (offset, size, name) in [
            (0, 10, "core::panicking::panic_fmt"),
            (10, 10, "<alloc::vec::Vec>::push"),
            (20, 10, "work::part"),
            (30, 10, "last"),
        ] {
            Symbol { offset, size, name }.encode(end, &mut |bytes| symbols.extend_from_slice(bytes));
            end = offset + size;
        }
        let blamed = found.blamed(&symbols).map(|place| std::format!("{place}"));
        // The call is the function's last instruction.
        assert_eq!(blamed.as_deref(), Some("work::part+0xa"));
        assert_eq!(Callers::NONE.blamed(&symbols), None);
    }
}
