//! Where a module's segments lie, in the linker's eyes and in memory.
//!
//! The segments are linked at fixed distances from each other, and are placed
//! at the same distances, so that code reaches its data relative to itself
//! although each segment lies in a region of its own, with its own permission.

/// Distance of the text segment from an image's base, in bytes.
pub const TEXT_OFFSET: u64 = 0;

/// Distance of the read-only data from an image's base, in bytes (1 GiB).
pub const RODATA_OFFSET: u64 = 0x4000_0000;

/// Distance of the writable data from an image's base, in bytes (1.25 GiB).
/// The bss follows the data at once.
pub const DATA_OFFSET: u64 = 0x5000_0000;

/// Largest size of text, of rodata, and of data and bss together, in bytes
/// (256 MiB: the distance between rodata and data).
pub const MAX_SEGMENT_SIZE: u64 = DATA_OFFSET - RODATA_OFFSET;

/// From an image's base to the end of the furthest place a segment can reach.
pub const IMAGE_SPAN: u64 = DATA_OFFSET + MAX_SEGMENT_SIZE;

/// Largest alignment a module may ask for, in bytes: that of a page.
pub const MAX_ALIGNMENT: u32 = 4096;

/// `value` rounded up to a multiple of `alignment`, which is a power of two.
/// `None` where the result does not fit.
#[must_use]
pub const fn align_up(value: u64, alignment: u64) -> Option<u64> {
    match value.checked_add(alignment - 1) {
        Some(sum) => Some(sum & !(alignment - 1)),
        None => None,
    }
}

static_assertions::const_assert!(RODATA_OFFSET >= MAX_SEGMENT_SIZE);
// Every distance inside an image fits the signed 32 bits of a relative access.
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
