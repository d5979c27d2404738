//! A module's code and data for one processor level: the blob's own, or one of its variants.
//!
//! Both are parsed, checked and placed by this code.

use bareflow_abi::header::Header;
use bareflow_abi::layout::{DATA_OFFSET, MAX_ALIGNMENT, MAX_SEGMENT_SIZE, RODATA_OFFSET, TEXT_OFFSET};
use bareflow_abi::variant::{VARIANT_HEADER_SIZE, VariantHeader};

use crate::error::{BadCode, BadVariant, MalformedModule};
use crate::format::fixups::{FIXUP_SIZE_BYTES, Fixups};
use crate::format::segments::ImageSize;

/// The segments and fix-ups of one level, with the header that describes them.
#[derive(Clone, Copy, Debug)]
pub struct CodeVariant<'blob> {
    /// Level, entry, sizes and alignment.
    pub header: VariantHeader,
    /// The text segment.
    pub text: &'blob [u8],
    /// The read-only data.
    pub rodata: &'blob [u8],
    /// The initialised writable data.
    pub data: &'blob [u8],
    /// The encoded fix-ups.
    pub fixups: &'blob [u8],
}

/// Returns the header of a blob's own code, taken from the blob's header.
#[must_use]
#[inline]
pub const fn base_header(header: &Header) -> VariantHeader {
    VariantHeader {
        level: header.cpu_level,
        reserved: header.reserved,
        entry: header.entry,
        text_size: header.text_size,
        rodata_size: header.rodata_size,
        data_size: header.data_size,
        bss_size: header.bss_size,
        alignment: header.alignment,
        fixup_count: header.fixup_count,
        fixup_size: header.fixup_size,
    }
}

impl<'blob> CodeVariant<'blob> {
    /// Parses a variant's record. The checks come in this order: length, reserved bytes, sizes.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn variant(record: &'blob [u8]) -> Result<CodeVariant<'blob>, BadVariant> {
        let Some((header, body)) = record.split_first_chunk::<VARIANT_HEADER_SIZE>() else {
            return Err(BadVariant::TooShort { found: record.len() });
        };
        let header = VariantHeader::from_bytes(header);
        let expected = VARIANT_HEADER_SIZE as u64 + file_size(&header);
        match CodeVariant::parse(header, body).map_err(BadVariant::Malformed)? {
            Some((code, [])) => Ok(code),
            _ => Err(BadVariant::Malformed(MalformedModule::Length { found: record.len(), expected })),
        }
    }

    /// Splits off the parts that `header` announces. Returns them and the rest, or `None` if `bytes` is too short.
    #[inline(always)]
    pub(crate) fn parse(
        header: VariantHeader,
        bytes: &'blob [u8],
    ) -> Result<Option<(CodeVariant<'blob>, &'blob [u8])>, MalformedModule> {
        check_sizes(&header)?;
        let take = |rest: &mut &'blob [u8], size: u32| {
            let (part, behind) = rest.split_at_checked(usize::try_from(size).ok()?)?;
            *rest = behind;
            Some(part)
        };
        let parts = || {
            let mut rest = bytes;
            let text = take(&mut rest, header.text_size)?;
            let rodata = take(&mut rest, header.rodata_size)?;
            let data = take(&mut rest, header.data_size)?;
            let fixups = take(&mut rest, header.fixup_size)?;
            Some((CodeVariant { header, text, rodata, data, fixups }, rest))
        };
        Ok(parts())
    }

    /// Checks the entry, then the fix-ups.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), BadCode> {
        let (entry, text_size) = (self.header.entry, self.header.text_size);
        // Without this check a module could start another one's code.
        if entry >= text_size {
            return Err(BadCode::Entry { found: entry, text_size });
        }
        self.check_fixups()
    }

    /// Checks that each fix-up changes bytes of this image only, and points into it.
    #[inline]
    fn check_fixups(&self) -> Result<(), BadCode> {
        let mut count: u32 = 0;
        // Most code has none.
        if !self.fixups.is_empty() {
            for offset in Fixups::new(self.fixups) {
                let offset = offset?;
                let fixup = Fixup::at(offset, self.rodata.len(), self.data.len());
                let target = fixup.and_then(|fixup| fixup.target(self.rodata, self.data));
                let target = target.ok_or(BadCode::FixupOutside { found: offset })?;
                if !self.points_into(target) {
                    return Err(BadCode::FixupTarget { fixup: offset, found: target });
                }
                count = count.saturating_add(1);
            }
        }
        let expected = self.header.fixup_count;
        if count == expected { Ok(()) } else { Err(BadCode::FixupCount { found: count, expected }) }
    }

    /// Returns whether `target`, an offset from the base, is in a segment or right at its end.
    ///
    /// The end of a table points to the end of a segment.
    fn points_into(&self, target: u64) -> bool {
        let header = &self.header;
        let segments = [
            (TEXT_OFFSET, u64::from(header.text_size)),
            (RODATA_OFFSET, u64::from(header.rodata_size)),
            (DATA_OFFSET, u64::from(header.data_size) + u64::from(header.bss_size)),
        ];
        segments.iter().any(|&(start, size)| (start..=start + size).contains(&target))
    }

    /// Returns the memory that the image needs.
    #[must_use]
    #[inline]
    pub const fn image_size(&self) -> ImageSize {
        ImageSize {
            text_bytes: self.header.text_size,
            rodata_bytes: self.header.rodata_size,
            // At most 256 MiB, as `check_sizes` made sure.
            data_bytes: self.header.data_size.wrapping_add(self.header.bss_size),
            alignment: self.header.alignment,
        }
    }
}

/// Returns the bytes in the file of the parts that `header` announces.
#[inline]
pub(crate) fn file_size(header: &VariantHeader) -> u64 {
    let parts = [header.text_size, header.rodata_size, header.data_size, header.fixup_size];
    parts.iter().fold(0, |sum, &size| sum + u64::from(size))
}

/// Checks that the reserved bytes are zero and that each segment fits its region of the address space.
#[inline]
fn check_sizes(header: &VariantHeader) -> Result<(), MalformedModule> {
    if header.reserved != [0; 3] {
        return Err(MalformedModule::ReservedBytes { found: header.reserved });
    }
    if header.text_size == 0 {
        return Err(MalformedModule::NoText);
    }
    let fits = |segment, found| match found {
        ..=MAX_SEGMENT_SIZE => Ok(()),
        _ => Err(MalformedModule::SegmentTooLarge { segment, found }),
    };
    fits("text", u64::from(header.text_size))?;
    fits("rodata", u64::from(header.rodata_size))?;
    // Two u32 can't overflow a u64.
    fits("data and bss", u64::from(header.data_size) + u64::from(header.bss_size))?;
    if !header.alignment.is_power_of_two() || header.alignment > MAX_ALIGNMENT {
        return Err(MalformedModule::Alignment { found: header.alignment });
    }
    Ok(())
}

/// A fix-up that lies wholly in one segment.
pub(crate) enum Fixup {
    /// At this offset from the start of rodata.
    Rodata(usize),
    /// At this offset from the start of data.
    Data(usize),
}

impl Fixup {
    /// Iterates over the fix-ups in `fixups`, for code with `rodata` and `data` bytes of these segments in the file.
    pub fn all(fixups: &[u8], rodata: usize, data: usize) -> impl Iterator<Item = Fixup> {
        Fixups::new(fixups).filter_map(move |offset| Fixup::at(offset.ok()?, rodata, data))
    }

    /// Returns the fix-up at `offset` from the image's base.
    ///
    /// `None` if it is not within the file's bytes of rodata or data.
    fn at(offset: u64, rodata: usize, data: usize) -> Option<Fixup> {
        let within = |start: u64, size: usize| {
            let distance = offset.checked_sub(start)?;
            let end = distance.checked_add(FIXUP_SIZE_BYTES)?;
            (end <= size as u64).then(|| usize::try_from(distance).ok())?
        };
        within(RODATA_OFFSET, rodata).map(Fixup::Rodata).or_else(|| within(DATA_OFFSET, data).map(Fixup::Data))
    }

    /// Returns the value that the file has at the fix-up: its target's offset from the image's base.
    fn target(&self, rodata: &[u8], data: &[u8]) -> Option<u64> {
        let bytes = match *self {
            Fixup::Rodata(start) => rodata.get(start..)?,
            Fixup::Data(start) => data.get(start..)?,
        };
        bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }
}
