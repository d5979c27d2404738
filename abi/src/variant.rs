//! The header of a [`VARIANT`](crate::record::VARIANT) record: the module's code compiled for a higher processor level.
//!
//! Text, rodata, data and fix-ups follow it without gaps, as they follow the blob's header. The other fields of the
//! blob's header apply to every variant.

use static_assertions::const_assert_eq;

use crate::fields::fields;

/// The size of the fields before a variant's text, in bytes.
pub const VARIANT_HEADER_SIZE: usize = 36;

fields! {
    /// The header of a variant's record, in the order of the file.
    VariantHeader, VARIANT_HEADER_SIZE;
    /// The x86-64 level that the code needs: above that of the code before it, at most 4.
    level: u8,
    /// Reserved: zero.
    reserved: [u8; 3],
    /// The offset of the entry in the text segment.
    entry: u32,
    /// The size of the text, in bytes.
    text_size: u32,
    /// The size of the read-only data, in bytes.
    rodata_size: u32,
    /// The size of the initialised writable data, in bytes.
    data_size: u32,
    /// The size of the zeroed writable data, which follows the data in memory and is not in the file, in bytes.
    bss_size: u32,
    /// The alignment of every segment's start: a power of two, at most 4096.
    alignment: u32,
    /// The number of fix-ups.
    fixup_count: u32,
    /// The size of the encoded fix-ups, in bytes.
    fixup_size: u32,
}

/// The highest x86-64 level.
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
