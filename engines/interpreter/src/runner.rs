//! The blob of the runner, in its parts.

use bareflow_abi::header::{HEADER_SIZE, Header};
use bareflow_abi::layout::DATA_OFFSET;
use bareflow_abi::leb128;

include!(concat!(env!("OUT_DIR"), "/runner.rs"));

/// The parts of a blob.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'blob> {
    /// The header.
    pub header: Header,
    /// The code.
    pub text: &'blob [u8],
    /// The constants.
    pub rodata: &'blob [u8],
    /// The initialised data.
    pub data: &'blob [u8],
    /// The fix-ups.
    pub fixups: &'blob [u8],
    /// The records.
    pub records: &'blob [u8],
}

impl<'blob> Parts<'blob> {
    /// Splits a blob; `None` if it is cut off.
    #[must_use]
    pub fn of(blob: &'blob [u8]) -> Option<Parts<'blob>> {
        let (header, rest) = blob.split_first_chunk::<HEADER_SIZE>()?;
        let header = Header::from_bytes(header);
        let (text, rest) = rest.split_at_checked(header.text_size as usize)?;
        let (rodata, rest) = rest.split_at_checked(header.rodata_size as usize)?;
        let (data, rest) = rest.split_at_checked(header.data_size as usize)?;
        let (fixups, records) = rest.split_at_checked(header.fixup_size as usize)?;
        Some(Parts { header, text, rodata, data, fixups, records })
    }

    /// Returns the address of the last fix-up, or 0 if there is none.
    #[must_use]
    pub fn last_fixup(&self) -> u64 {
        let (mut rest, mut last) = (self.fixups, 0);
        while let Ok(distance) = leb128::read(&mut rest) {
            last += distance;
        }
        last
    }

    /// Returns the size of data and bss, in bytes.
    #[must_use]
    pub const fn data_and_bss(&self) -> u64 {
        self.header.data_size as u64 + self.header.bss_size as u64
    }
}

/// Encodes one more fix-up, at an offset in the data, after the last at `last`.
pub fn encode_fixup(last: u64, data_offset: u64, put: &mut dyn FnMut(&[u8])) {
    leb128::write((DATA_OFFSET + data_offset).saturating_sub(last), put);
}
