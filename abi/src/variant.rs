//! The start of a record [`VARIANT`](crate::record::VARIANT): the module's code once more, compiled for
//! processors of a higher level. Text, rodata, data and fix-ups follow it without gaps, as they follow the
//! blob's header; all else that the header says holds for every variant.

use static_assertions::const_assert_eq;

use crate::fields::fields;

/// Bytes of the fields before a variant's text.
pub const VARIANT_HEADER_SIZE: usize = 36;

fields! {
    /// What a variant's record begins with, in the order of the file.
    VariantHeader, VARIANT_HEADER_SIZE;
    /// x86-64 level the code needs: above that of the code before it, 4 at the most.
    level: u8,
    /// Zero.
    reserved: [u8; 3],
    /// Offset of the entry in the text segment.
    entry: u32,
    /// Bytes of text.
    text_size: u32,
    /// Bytes of read-only data.
    rodata_size: u32,
    /// Bytes of initialised writable data.
    data_size: u32,
    /// Bytes of zeroed writable data, which follow the data in memory and are not in the file.
    bss_size: u32,
    /// What every segment's start is aligned to: a power of two, 4096 at the most.
    alignment: u32,
    /// How many fix-ups there are.
    fixup_count: u32,
    /// Bytes the encoded fix-ups take.
    fixup_size: u32,
}

/// The highest x86-64 level there is.
pub const MAX_LEVEL: u8 = 4;

const_assert_eq!(core::mem::offset_of!(VariantHeader, text_size), 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_a_round_trip_and_leaves_no_gap() {
        let mut bytes = [0; VARIANT_HEADER_SIZE];
        for (value, byte) in (1..).zip(&mut bytes) {
            *byte = value;
        }
        let header = VariantHeader::from_bytes(&bytes);
        assert_eq!((header.level, header.entry), (1, 0x0807_0605));
        assert_eq!(header.to_bytes(), bytes);
        let end = VariantHeader::FIELDS.iter().fold(0, |end, &(name, offset, size)| {
            assert_eq!(offset, end, "{name}");
            offset + size
        });
        assert_eq!(end, VARIANT_HEADER_SIZE);
    }
}
