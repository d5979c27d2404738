//! The functions of a module's code, as a record of its blob.
//!
//! The packer writes it and the loader reads it. An entry is the function's distance from the end of the previous one
//! (the first one's from the start of the text), its size, and the length of its name, each in LEB128 as for fix-ups,
//! and the name: UTF-8, demangled.

use crate::leb128::{BadNumber, read, write};

/// The length of the longest name, in bytes; longer names are cut.
pub const MAX_SYMBOL_NAME: usize = 255;

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'bytes> {
    /// The function's offset in the text.
    pub offset: u32,
    /// The function's size in bytes, at least one.
    pub size: u32,
    /// The function's name.
    pub name: &'bytes str,
}

impl Symbol<'_> {
    /// Encodes the entry, piece by piece, after a function that ended at `end`.
    ///
    /// The name's bytes beyond [`MAX_SYMBOL_NAME`] are left out.
    pub fn encode(&self, end: u32, put: &mut dyn FnMut(&[u8])) {
        let mut length = self.name.len().min(MAX_SYMBOL_NAME);
        while !self.name.is_char_boundary(length) {
            length -= 1;
        }
        for number in [self.offset.saturating_sub(end), self.size, length as u32] {
            write(number.into(), put);
        }
        put(self.name.as_bytes().get(..length).unwrap_or_default());
    }

    /// Returns whether the instruction at `offset` belongs to the function.
    #[must_use]
    pub const fn contains(&self, offset: u64) -> bool {
        let start = self.offset as u64;
        start <= offset && offset - start < self.size as u64
    }
}

/// An error in a symbol list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadSymbol {
    /// The list has no entries.
    NoEntry,
    /// An entry extends beyond the end of the list.
    CutOff,
    /// A number is too large, or not in its shortest form.
    Number,
    /// A function has no bytes, or ends beyond the text.
    Place,
    /// A name is empty, longer than [`MAX_SYMBOL_NAME`], or no UTF-8.
    Name,
}

impl BadSymbol {
    /// Returns a description for messages.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            BadSymbol::NoEntry => "it is not there",
            BadSymbol::CutOff => "it ends behind the list's end",
            BadSymbol::Number => "a number is too large or not in its shortest form",
            BadSymbol::Place => "it has no bytes or ends behind the text",
            BadSymbol::Name => "its name is empty, too long or no UTF-8",
        }
    }
}

/// An iterator over the entries of a list; it ends after the first that can't be read.
#[derive(Clone, Debug)]
pub struct Symbols<'bytes> {
    rest: &'bytes [u8],
    /// The end of the previous function.
    end: u32,
}

impl<'bytes> Symbols<'bytes> {
    /// Creates an iterator over an encoded list.
    #[must_use]
    pub const fn new(bytes: &'bytes [u8]) -> Symbols<'bytes> {
        Symbols { rest: bytes, end: 0 }
    }

    /// Validates the list `bytes` of code with `text_size` bytes of text.
    ///
    /// # Errors
    /// The number of the first invalid entry, counted from 1, and the reason.
    pub fn check(bytes: &'bytes [u8], text_size: u32) -> Result<(), (usize, BadSymbol)> {
        let mut symbols = Symbols::new(bytes);
        if bytes.is_empty() {
            return Err((1, BadSymbol::NoEntry));
        }
        let mut number = 0;
        while let Some(symbol) = symbols.next() {
            number += 1;
            symbol.map_err(|why| (number, why))?;
            if symbols.end > text_size {
                return Err((number, BadSymbol::Place));
            }
        }
        Ok(())
    }

    /// Finds the function with the instruction at `offset` from the start of the text.
    #[must_use]
    pub fn find(bytes: &'bytes [u8], offset: u64) -> Option<Symbol<'bytes>> {
        let mut symbols = Symbols::new(bytes);
        while let Ok((symbol, name)) = symbols.read_bytes() {
            if symbol.contains(offset) {
                return Some(Symbol { name: core::str::from_utf8(name).ok()?, ..symbol });
            }
        }
        None
    }

    fn read(&mut self) -> Result<Symbol<'bytes>, BadSymbol> {
        let (symbol, name) = self.read_bytes()?;
        Ok(Symbol { name: core::str::from_utf8(name).map_err(|_| BadSymbol::Name)?, ..symbol })
    }

    /// Reads the next entry without its name, and the name's bytes.
    fn read_bytes(&mut self) -> Result<(Symbol<'bytes>, &'bytes [u8]), BadSymbol> {
        let [distance, size, length] = [self.number()?, self.number()?, self.number()?];
        let offset = self.end.checked_add(distance).ok_or(BadSymbol::Place)?;
        self.end = offset.checked_add(size).filter(|_| size > 0).ok_or(BadSymbol::Place)?;
        let length = length as usize;
        if length == 0 || length > MAX_SYMBOL_NAME {
            return Err(BadSymbol::Name);
        }
        let (name, rest) = self.rest.split_at_checked(length).ok_or(BadSymbol::CutOff)?;
        self.rest = rest;
        Ok((Symbol { offset, size, name: "" }, name))
    }

    fn number(&mut self) -> Result<u32, BadSymbol> {
        let number = read(&mut self.rest).map_err(|why| match why {
            BadNumber::CutOff => BadSymbol::CutOff,
            BadNumber::TooLong | BadNumber::NotShortest => BadSymbol::Number,
        })?;
        u32::try_from(number).map_err(|_| BadSymbol::Number)
    }
}

impl<'bytes> Iterator for Symbols<'bytes> {
    type Item = Result<Symbol<'bytes>, BadSymbol>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let symbol = self.read();
        if symbol.is_err() {
            self.rest = &[];
        }
        Some(symbol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two entries with names of one letter.
    const LIST: [u8; 9] = [0, 4, 1, b'a', 0x80, 1, 2, 1, b'b'];

    #[test]
    fn reads_what_it_writes() {
        let (a, b) = (Symbol { offset: 0, size: 4, name: "a" }, Symbol { offset: 132, size: 2, name: "b" });
        let (mut written, mut length) = ([0; 16], 0);
        let mut put = |bytes: &[u8]| {
            written[length..length + bytes.len()].copy_from_slice(bytes);
            length += bytes.len();
        };
        a.encode(0, &mut put);
        b.encode(4, &mut put);
        assert_eq!(&written[..length], LIST);
        let mut read = Symbols::new(&LIST);
        assert_eq!([read.next(), read.next(), read.next()], [Some(Ok(a)), Some(Ok(b)), None]);
        assert_eq!(Symbols::check(&LIST, 134), Ok(()));
        assert_eq!(
            (Symbols::find(&LIST, 3), Symbols::find(&LIST, 4), Symbols::find(&LIST, 133)),
            (Some(a), None, Some(b))
        );
    }

    #[test]
    fn cuts_long_names_between_letters() {
        let text: [u8; 256] = core::array::from_fn(|index| [0xc3, 0xa4][index % 2]);
        let mut total = 0;
        let name = core::str::from_utf8(&text).unwrap_or_default();
        Symbol { offset: 0, size: 1, name }.encode(0, &mut |bytes| total += bytes.len());
        assert_eq!(total, 1 + 1 + 2 + 254);
    }

    #[test]
    fn rejects_what_is_no_list() {
        let cases: [(&[u8], (usize, BadSymbol)); 9] = [
            (b"", (1, BadSymbol::NoEntry)),
            (&LIST[..3], (1, BadSymbol::CutOff)),
            (&LIST[..8], (2, BadSymbol::CutOff)),
            (&[0x80, 0, 1, 1, b'a'], (1, BadSymbol::Number)),
            (&[0xff, 0xff, 0xff, 0xff, 0x10, 1, 1, b'a'], (1, BadSymbol::Number)),
            (&[0, 0, 1, b'a'], (1, BadSymbol::Place)),
            (&[0x83, 1, 4, 1, b'a'], (1, BadSymbol::Place)),
            (&[0, 1, 0], (1, BadSymbol::Name)),
            (&[0, 1, 1, 0xff], (1, BadSymbol::Name)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Symbols::check(bytes, 134), Err(expected), "{bytes:?}");
        }
        assert_eq!(Symbols::check(&LIST, 133), Err((2, BadSymbol::Place)));
    }
}
