//! Little-endian numbers in byte slices. Bytes outside the slice read as zero.

/// Reads one byte.
pub fn u8_at(bytes: &[u8], offset: usize) -> u8 {
    bytes.get(offset).copied().unwrap_or_default()
}

/// Reads two bytes.
pub fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes([u8_at(bytes, offset), u8_at(bytes, offset + 1)])
}

/// Reads four bytes.
pub fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from(u16_at(bytes, offset)) | u32::from(u16_at(bytes, offset + 2)) << 16
}

/// Writes `value` at `offset`, as far as there is room.
pub fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    for (target, &byte) in bytes.iter_mut().skip(offset).zip(value) {
        *target = byte;
    }
}
