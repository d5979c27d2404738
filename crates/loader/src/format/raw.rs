//! The first stage: bytes that have the structure of a module.
//!
//! Only the arithmetic is checked yet: every part that the header announces lies in the file, and nothing else does.

use core::mem::offset_of;

use bareflow_abi::header::{FORMAT_VERSION, HEADER_SIZE, Header, KNOWN_FLAGS, MACHINE_X86_64, MAGIC, NAME_SIZE};

use crate::error::MalformedModule;
use crate::format::code::{CodeVariant, base_header, file_size};

/// A parsed blob that is not validated yet.
#[derive(Clone, Copy, Debug)]
pub struct RawModule<'blob> {
    blob: &'blob [u8],
    header: &'blob [u8; HEADER_SIZE],
    /// The blob's own code, for the lowest processor level that it supports.
    pub code: CodeVariant<'blob>,
    /// The records.
    pub records: &'blob [u8],
}

impl<'blob> RawModule<'blob> {
    /// Parses `blob`. The checks come in this order: length, magic, format, machine, flags and reserved bytes, sizes.
    ///
    /// # Errors
    /// The first check that fails.
    #[inline(always)]
    pub fn parse(blob: &'blob [u8]) -> Result<RawModule<'blob>, MalformedModule> {
        let Some((header_bytes, body)) = blob.split_first_chunk::<HEADER_SIZE>() else {
            return Err(MalformedModule::TooShort { found: blob.len() });
        };
        let header = Header::from_bytes(header_bytes);
        check_kind(&header)?;
        let own = base_header(&header);
        match CodeVariant::parse(own, body)? {
            Some((code, records)) if records.len() as u64 == u64::from(header.record_size) => {
                Ok(RawModule { blob, header: header_bytes, code, records })
            }
            _ => {
                let expected = HEADER_SIZE as u64 + file_size(&own) + u64::from(header.record_size);
                Err(MalformedModule::Length { found: blob.len(), expected })
            }
        }
    }

    /// Returns the header. It is decoded anew at each call, so the compiler can leave out unused fields.
    #[must_use]
    #[inline(always)]
    pub fn header(&self) -> Header {
        Header::from_bytes(self.header)
    }

    /// Returns the name field of the header.
    #[must_use]
    #[inline(always)]
    pub fn name(&self) -> &'blob [u8; NAME_SIZE] {
        let field = self.header.get(offset_of!(Header, name)..).and_then(|field| field.first_chunk());
        // The field lies in the header, so the default is unreachable.
        field.unwrap_or(&[0; NAME_SIZE])
    }

    /// Returns the whole file.
    #[must_use]
    pub const fn blob(&self) -> &'blob [u8] {
        self.blob
    }
}

/// Checks that the module is for this machine, and that its format and flags are known.
#[inline]
fn check_kind(header: &Header) -> Result<(), MalformedModule> {
    if header.magic != MAGIC {
        return Err(MalformedModule::Magic { found: header.magic });
    }
    if header.format != FORMAT_VERSION {
        return Err(MalformedModule::Format { found: header.format });
    }
    if header.machine != MACHINE_X86_64 {
        return Err(MalformedModule::Machine { found: header.machine });
    }
    // An unknown flag may change what the code expects, so it can't be ignored.
    if header.flags & !KNOWN_FLAGS != 0 {
        return Err(MalformedModule::UnknownFlags { found: header.flags & !KNOWN_FLAGS });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::blob;
    use bareflow_abi::layout::MAX_SEGMENT_SIZE;

    /// Returns the error for a valid blob whose header is changed by `change`.
    fn refusal(change: impl FnOnce(&mut Header)) -> MalformedModule {
        let mut bytes = blob::full();
        blob::change_header(&mut bytes, change);
        RawModule::parse(&bytes).unwrap_err()
    }

    #[test]
    fn accepts_and_takes_apart() {
        let bytes = blob::full();
        let raw = RawModule::parse(&bytes).unwrap();
        assert_eq!(raw.code.text, blob::TEXT);
        assert_eq!(raw.code.rodata.len(), 16);
        assert_eq!(raw.code.data.len(), 8);
        assert_eq!(raw.blob().len(), bytes.len());
    }

    #[test]
    fn rejects_an_empty_file() {
        assert_eq!(RawModule::parse(&[]).unwrap_err(), MalformedModule::TooShort { found: 0 });
    }

    #[test]
    fn rejects_truncation_at_every_length() {
        let bytes = blob::full();
        for length in 0..bytes.len() {
            let error = RawModule::parse(&bytes[..length]).unwrap_err();
            if length < HEADER_SIZE {
                assert_eq!(error, MalformedModule::TooShort { found: length });
            } else {
                assert_eq!(error, MalformedModule::Length { found: length, expected: bytes.len() as u64 });
            }
        }
    }

    #[test]
    fn rejects_trailing_bytes() {
        let mut bytes = blob::full();
        let expected = bytes.len() as u64;
        bytes.push(0);
        let error = RawModule::parse(&bytes).unwrap_err();
        assert_eq!(error, MalformedModule::Length { found: bytes.len(), expected });
    }

    #[test]
    fn rejects_wrong_magic() {
        let error = refusal(|header| header.magic = 0x464c_457f);
        assert_eq!(error, MalformedModule::Magic { found: 0x464c_457f });
    }

    #[test]
    fn rejects_unknown_format() {
        assert_eq!(refusal(|header| header.format = 2), MalformedModule::Format { found: 2 });
    }

    #[test]
    fn rejects_other_machine() {
        assert_eq!(refusal(|header| header.machine = 183), MalformedModule::Machine { found: 183 });
    }

    #[test]
    fn rejects_unknown_flags() {
        let error = refusal(|header| header.flags = 0x8000_0001);
        assert_eq!(error, MalformedModule::UnknownFlags { found: 0x8000_0000 });
    }

    #[test]
    fn rejects_reserved_bytes() {
        let error = refusal(|header| header.reserved = [0, 1, 0]);
        assert_eq!(error, MalformedModule::ReservedBytes { found: [0, 1, 0] });
    }

    #[test]
    fn rejects_a_module_without_text() {
        assert_eq!(refusal(|header| header.text_size = 0), MalformedModule::NoText);
    }

    #[test]
    fn rejects_segments_beyond_their_place() {
        let found = MAX_SEGMENT_SIZE + 1;
        let size = u32::try_from(found).unwrap();
        let error = |segment| MalformedModule::SegmentTooLarge { segment, found };
        assert_eq!(refusal(|header| header.text_size = size), error("text"));
        assert_eq!(refusal(|header| header.rodata_size = size), error("rodata"));
        assert_eq!(refusal(|header| header.bss_size = size - header.data_size), error("data and bss"));
        let all = refusal(|header| (header.data_size, header.bss_size) = (u32::MAX, u32::MAX));
        assert_eq!(all, MalformedModule::SegmentTooLarge { segment: "data and bss", found: 2 * u64::from(u32::MAX) });
    }

    #[test]
    fn rejects_bad_alignment() {
        for found in [0, 3, 8192, u32::MAX] {
            assert_eq!(refusal(|header| header.alignment = found), MalformedModule::Alignment { found });
        }
    }

    #[test]
    fn rejects_sizes_that_do_not_add_up() {
        let length = blob::full().len();
        let error = refusal(|header| header.record_size += 1);
        assert_eq!(error, MalformedModule::Length { found: length, expected: length as u64 + 1 });
        let error = refusal(|header| header.fixup_size = u32::MAX);
        assert!(matches!(error, MalformedModule::Length { found, .. } if found == length));
    }
}
