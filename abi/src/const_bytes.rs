//! Bytes at compile time, where slices can be neither copied nor compared by methods.

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

/// Returns whether two texts are the same.
pub(crate) const fn is_same(one: &str, other: &str) -> bool {
    let (one, other, mut index) = (one.as_bytes(), other.as_bytes(), 0);
    if one.len() != other.len() {
        return false;
    }
    while index < one.len() {
        if one[index] != other[index] {
            return false;
        }
        index += 1;
    }
    true
}
