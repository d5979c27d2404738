//! First stage: bytes that have the shape of a module.
//!
//! Nothing is believed yet but the arithmetic: every part the header announces
//! lies inside the file, and nothing lies beside them.

use bareflow_abi::header::{FORMAT_VERSION, HEADER_SIZE, Header, KNOWN_FLAGS, MACHINE_X86_64, MAGIC};
use bareflow_abi::layout::{MAX_ALIGNMENT, MAX_SEGMENT_SIZE};

use crate::error::MalformedModule;

/// A blob taken apart, not yet validated.
#[derive(Clone, Copy, Debug)]
pub struct RawModule<'blob> {
    blob: &'blob [u8],
    /// The header as it stands there.
    pub header: Header,
    /// The text segment.
    pub text: &'blob [u8],
    /// The read-only data.
    pub rodata: &'blob [u8],
    /// The initialised writable data.
    pub data: &'blob [u8],
    /// The encoded fix-ups.
    pub fixups: &'blob [u8],
    /// The records.
    pub records: &'blob [u8],
}

impl<'blob> RawModule<'blob> {
    /// Takes `blob` apart. The checks come in this order: length, magic,
    /// format, machine, flags and reserved bytes, sizes.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn parse(blob: &'blob [u8]) -> Result<RawModule<'blob>, MalformedModule> {
        let Some((header_bytes, body)) = blob.split_first_chunk::<HEADER_SIZE>() else {
            return Err(MalformedModule::TooShort { found: blob.len() });
        };
        let header = Header::from_bytes(header_bytes);
        check_kind(&header)?;
        check_sizes(&header)?;

        let mut parts = Parts { rest: body, header: &header, length: blob.len() };
        let raw = RawModule {
            blob,
            header,
            text: parts.take(header.text_size)?,
            rodata: parts.take(header.rodata_size)?,
            data: parts.take(header.data_size)?,
            fixups: parts.take(header.fixup_size)?,
            records: parts.take(header.record_size)?,
        };
        if parts.rest.is_empty() { Ok(raw) } else { Err(parts.mismatch()) }
    }

    /// The whole file.
    #[must_use]
    pub const fn blob(&self) -> &'blob [u8] {
        self.blob
    }
}

/// Is this a module for this machine, in a format and with flags that are known?
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
    // An unknown flag may change what the code expects, so it can't be passed over.
    if header.flags & !KNOWN_FLAGS != 0 {
        return Err(MalformedModule::UnknownFlags { found: header.flags & !KNOWN_FLAGS });
    }
    if header.reserved != [0; 3] {
        return Err(MalformedModule::ReservedBytes { found: header.reserved });
    }
    Ok(())
}

/// Does each segment fit its place in the address space?
fn check_sizes(header: &Header) -> Result<(), MalformedModule> {
    if header.text_size == 0 {
        return Err(MalformedModule::NoText);
    }
    let segments = [
        ("text", u64::from(header.text_size)),
        ("rodata", u64::from(header.rodata_size)),
        // Two u32 can't overflow a u64.
        ("data and bss", u64::from(header.data_size) + u64::from(header.bss_size)),
    ];
    for (segment, size) in segments {
        if size > MAX_SEGMENT_SIZE {
            return Err(MalformedModule::SegmentTooLarge { segment, found: size });
        }
    }
    if !header.alignment.is_power_of_two() || header.alignment > MAX_ALIGNMENT {
        return Err(MalformedModule::Alignment { found: header.alignment });
    }
    Ok(())
}

/// The file behind the header, from which one part after the other is taken.
struct Parts<'blob, 'header> {
    rest: &'blob [u8],
    header: &'header Header,
    length: usize,
}

impl<'blob> Parts<'blob, '_> {
    fn take(&mut self, size: u32) -> Result<&'blob [u8], MalformedModule> {
        let size = usize::try_from(size).map_err(|_| self.mismatch())?;
        let (part, rest) = self.rest.split_at_checked(size).ok_or_else(|| self.mismatch())?;
        self.rest = rest;
        Ok(part)
    }

    fn mismatch(&self) -> MalformedModule {
        let header = self.header;
        let parts = [header.text_size, header.rodata_size, header.data_size, header.fixup_size, header.record_size];
        let expected = parts.iter().fold(HEADER_SIZE as u64, |sum, &size| sum + u64::from(size));
        MalformedModule::Length { found: self.length, expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::blob;

    /// The error that a valid blob gives once its header is changed by `change`.
    fn refusal(change: impl FnOnce(&mut Header)) -> MalformedModule {
        let mut bytes = blob::full();
        blob::change_header(&mut bytes, change);
        RawModule::parse(&bytes).unwrap_err()
    }

    #[test]
    fn accepts_and_takes_apart() {
        let bytes = blob::full();
        let raw = RawModule::parse(&bytes).unwrap();
        assert_eq!(raw.text, blob::TEXT);
        assert_eq!(raw.rodata.len(), 16);
        assert_eq!(raw.data.len(), 8);
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
