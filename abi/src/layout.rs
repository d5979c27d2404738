//! The layout of a module's segments, as linked and as placed in memory.
//!
//! The segments are linked at fixed distances from each other, and are placed at the same distances. Code thus reaches
//! its data relative to itself, although each segment lies in a region of its own with its own permission.

/// The offset of the text segment from an image's base, in bytes.
pub const TEXT_OFFSET: u64 = 0;

/// The offset of the read-only data from an image's base, in bytes (1 GiB).
pub const RODATA_OFFSET: u64 = 0x4000_0000;

/// The offset of the writable data from an image's base, in bytes (1.25 GiB).
///
/// The bss follows immediately after the data.
pub const DATA_OFFSET: u64 = 0x5000_0000;

/// The largest size of text, of rodata, and of data and bss together, in bytes.
///
/// 256 MiB, the distance between rodata and data.
pub const MAX_SEGMENT_SIZE: u64 = DATA_OFFSET - RODATA_OFFSET;

/// The distance from an image's base to the furthest end of a segment, in bytes.
pub const IMAGE_SPAN: u64 = DATA_OFFSET + MAX_SEGMENT_SIZE;

/// The largest alignment that a module may ask for, in bytes: a page.
pub const MAX_ALIGNMENT: u32 = 4096;

/// Rounds `value` up to a multiple of `alignment`, which is a power of two. `None` if the result does not fit.
#[must_use]
pub const fn align_up(value: u64, alignment: u64) -> Option<u64> {
    match value.checked_add(alignment - 1) {
        Some(sum) => Some(sum & !(alignment - 1)),
        None => None,
    }
}

static_assertions::const_assert!(RODATA_OFFSET >= MAX_SEGMENT_SIZE);
// All distances within an image fit the signed 32 bits of a relative access.
static_assertions::const_assert!(IMAGE_SPAN <= i32::MAX as u64);

#[cfg(test)]
mod tests {
    use super::align_up;

    #[test]
    fn aligns_at_the_borders() {
        for alignment in [1, 8, 4096] {
            assert_eq!(align_up(0, alignment), Some(0));
            assert_eq!(align_up(1, alignment), Some(alignment));
            assert_eq!(align_up(alignment - 1, alignment), Some((alignment - 1).div_ceil(alignment) * alignment));
            assert_eq!(align_up(alignment, alignment), Some(alignment));
            assert_eq!(align_up(alignment + 1, alignment), Some((alignment + 1).div_ceil(alignment) * alignment));
        }
        assert_eq!(align_up(u64::MAX, 4096), None);
    }
}
