//! Writing records at compile time, where slices can't be copied by methods.

/// Writes `part` at `at`. Returns its end.
pub(crate) const fn put(bytes: &mut [u8], at: usize, part: &[u8]) -> usize {
    put_first(bytes, at, part, part.len())
}

/// Writes the first `length` bytes of `part` at `at`. Returns their end.
pub(crate) const fn put_first(bytes: &mut [u8], at: usize, part: &[u8], length: usize) -> usize {
    let mut index = 0;
    while index < length {
        bytes[at + index] = part[index];
        index += 1;
    }
    at + length
}
