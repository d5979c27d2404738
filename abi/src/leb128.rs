//! The numbers of fix-ups and symbols in LEB128: seven bits to a byte, the lowest first.
//!
//! Each number has exactly one encoding, of at most 35 bits. The crates for LEB128 also accept longer ones.

/// A reason why bytes do not start with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadNumber {
    /// The bytes end before the number does.
    CutOff,
    /// The number has more than five bytes.
    TooLong,
    /// The number has a superfluous last byte.
    NotShortest,
}

/// Takes a number from the start of `bytes`.
///
/// # Errors
/// See [`BadNumber`].
pub fn read(bytes: &mut &[u8]) -> Result<u64, BadNumber> {
    let mut value: u64 = 0;
    for shift in (0..35).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(BadNumber::CutOff)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return if byte != 0 || shift == 0 { Ok(value) } else { Err(BadNumber::NotShortest) };
        }
    }
    Err(BadNumber::TooLong)
}

/// Encodes a number, byte by byte. [`read`] takes numbers below 2^35 only; larger ones get more than five bytes.
pub fn write(mut number: u64, put: &mut dyn FnMut(&[u8])) {
    while number >= 0x80 {
        put(&[number as u8 | 0x80]);
        number >>= 7;
    }
    put(&[number as u8]);
}
