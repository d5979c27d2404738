//! Reading and writing of WebAssembly's numbers, names and lists.

use bareflow_abi::leb128::write;

/// The bytes of a file or a section that are still to be read. Every method returns `None` where they are cut off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'wasm>(pub &'wasm [u8]);

impl<'wasm> Bytes<'wasm> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn take(&mut self, length: u32) -> Option<&'wasm [u8]> {
        let (taken, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(taken)
    }

    /// Reads a number of at most 32 bits in LEB128, which may have zeros at its end.
    pub(super) fn number(&mut self) -> Option<u32> {
        let mut number = 0_u64;
        for place in 0..5 {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return u32::try_from(number).ok();
            }
        }
        None
    }

    pub(super) fn name(&mut self) -> Option<&'wasm str> {
        let length = self.number()?;
        core::str::from_utf8(self.take(length)?).ok()
    }

    /// Reads a list, each item by `read`.
    pub(super) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        (0..count).map(|_| read(self)).collect()
    }
}

/// Appends a number.
pub(super) fn put_number(number: u32, to: &mut Vec<u8>) {
    write(number.into(), &mut |bytes| to.extend_from_slice(bytes));
}

/// Appends bytes behind their length: a name or the content of a section.
pub(super) fn put_bytes(bytes: &[u8], to: &mut Vec<u8>) {
    put_number(bytes.len() as u32, to);
    to.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_of_32_bits_and_no_more() {
        let read = |bytes: &[u8]| Bytes(bytes).number();
        assert_eq!((read(&[5]), read(&[0x80, 1]), read(&[0xff; 4])), (Some(5), Some(128), None));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Some(u32::MAX));
        assert_eq!(read(&[0x85, 0x80, 0x80, 0x80, 0]), Some(5));
        assert_eq!((read(&[0xff, 0xff, 0xff, 0xff, 0x1f]), read(&[0x80; 6])), (None, None));
    }

    #[test]
    fn reads_what_it_writes_and_nothing_that_is_cut_off() {
        let mut bytes = Vec::new();
        put_number(2, &mut bytes);
        put_bytes("é".as_bytes(), &mut bytes);
        put_bytes(b"abc", &mut bytes);
        assert_eq!(Bytes(&bytes).list(Bytes::name), Some(vec!["é", "abc"]));
        assert!((0..bytes.len()).all(|length| Bytes(&bytes[..length]).list(Bytes::name).is_none()));
        assert_eq!(Bytes(&[1, 0xff]).name(), None);
        assert_eq!(Bytes(&[0xff, 0xff, 0xff, 0xff, 0x0f]).list(Bytes::byte), None);
    }
}
