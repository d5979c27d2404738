//! Fix-ups: 64-bit words to which the address of the image is added.
//!
//! Each is stored as its distance from the one before (the first one's from the image's base) in LEB128, seven bits to
//! a byte, the lowest first. Each list has exactly one encoding: distances are 8 or more, since fix-ups do not overlap,
//! and numbers have no superfluous last byte.

use bareflow_abi::leb128;

use crate::error::BadCode;

/// The size of a fix-up, in bytes.
pub const FIXUP_SIZE_BYTES: u64 = 8;

/// An iterator over the fix-ups' offsets from the image's base, in ascending order.
#[derive(Clone, Debug)]
pub struct Fixups<'blob> {
    rest: &'blob [u8],
    previous: Option<u64>,
}

impl<'blob> Fixups<'blob> {
    /// Creates an iterator over an encoded list.
    #[must_use]
    pub const fn new(encoded: &'blob [u8]) -> Fixups<'blob> {
        Fixups { rest: encoded, previous: None }
    }
}

impl Iterator for Fixups<'_> {
    type Item = Result<u64, BadCode>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let behind = self.previous.map_or(0, |offset| offset + FIXUP_SIZE_BYTES);
        let offset =
            leb128::read(&mut self.rest).ok().and_then(|distance| self.previous.unwrap_or(0).checked_add(distance));
        match offset {
            Some(offset) if offset >= behind => {
                self.previous = Some(offset);
                Some(Ok(offset))
            }
            _ => {
                self.rest = &[];
                Some(Err(BadCode::FixupEncoding { behind: self.previous.unwrap_or(0) }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn all(encoded: &[u8]) -> Result<Vec<u64>, BadCode> {
        Fixups::new(encoded).collect()
    }

    #[test]
    fn reads_distances() {
        assert_eq!(all(&[]), Ok(Vec::new()));
        assert_eq!(all(&[0, 8, 0x80, 1]), Ok(Vec::from([0, 8, 136])));
        assert_eq!(all(&[0x80, 0x80, 0x80, 0x80, 0x04]), Ok(Vec::from([0x4000_0000])));
    }

    #[test]
    fn rejects_what_is_cut_off_or_not_canonical() {
        let error = Err(BadCode::FixupEncoding { behind: 0 });
        assert_eq!(all(&[0x80]), error);
        assert_eq!(all(&[0x88, 0x00]), error);
        assert_eq!(all(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x01]), error);
    }

    #[test]
    fn rejects_fixups_that_overlap() {
        assert_eq!(all(&[16, 7]), Err(BadCode::FixupEncoding { behind: 16 }));
        assert_eq!(all(&[16, 0]), Err(BadCode::FixupEncoding { behind: 16 }));
    }
}
