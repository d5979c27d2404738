//! The numbers of fix-ups and symbols in LEB128: seven bits to a byte, the lowest first.
//!
//! Each number has exactly one encoding, of at most 35 bits. The crates for LEB128 also accept longer ones.

/// Takes a number from the start of `bytes`. The inner `None` says that it is too large or not in its shortest form.
///
/// Returns `None` if the bytes end before the number does.
pub fn read(bytes: &mut &[u8]) -> Option<Option<u64>> {
    let mut value: u64 = 0;
    for shift in (0..35).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((byte != 0 || shift == 0).then_some(value));
        }
    }
    Some(None)
}

/// Encodes a number, byte by byte.
pub fn write(mut number: u64, put: &mut dyn FnMut(&[u8])) {
    while number >= 0x80 {
        put(&[number as u8 | 0x80]);
        number >>= 7;
    }
    put(&[number as u8]);
}
