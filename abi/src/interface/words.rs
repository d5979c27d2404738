//! The words of a call on the user's side: address and size in bytes of what is lent. For the macro.

use super::out::Out;
use super::plain::Plain;

/// Returns the words of a text.
#[must_use]
#[inline]
pub fn text(text: &str) -> [u64; 2] {
    slice(text.as_bytes())
}

/// Returns the words of a slice.
#[must_use]
#[inline]
pub fn slice<T: Plain>(slice: &[T]) -> [u64; 2] {
    [slice.as_ptr().expose_provenance() as u64, size_of_val(slice) as u64]
}

/// Returns the words of a slice that may be written.
#[must_use]
#[inline]
pub fn slice_mut<T: Plain>(slice: &mut [T]) -> [u64; 2] {
    [slice.as_mut_ptr().expose_provenance() as u64, size_of_val(slice) as u64]
}

/// Returns the words of the room that is left in an `Out`.
#[must_use]
#[inline]
pub fn room<T: Plain>(out: &mut Out<'_, T>) -> [u64; 2] {
    slice_mut(out.unwritten())
}
