//! The trap sites of a module's code, as a record of its blob: where WebAssembly's traps are, and which.
//!
//! A compiler of WebAssembly writes it and the loader reads it: all traps of such code are the same instruction. An entry
//! is one number in LEB128 as for fix-ups: the site's distance from the previous one (the first one's from the start of
//! the text), times 16, plus the trap's kind. Nearly all take one or two bytes.

use crate::leb128::{BadNumber, read, write};

/// The number of bits of a number that are the kind's.
const KIND_BITS: u32 = 4;

macro_rules! trap_kinds {
    ($($(#[$doc:meta])+ $kind:ident,)+) => {
        /// The kind of a trap, by the words of the WebAssembly specification's tests.
        ///
        /// An exhausted call stack is not among them: it runs into a guard page, and has no site.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum TrapKind {
            $($(#[$doc])+ $kind,)+
        }

        impl TrapKind {
            /// All kinds, in the order of their numbers, from 0.
            pub const ALL: &[TrapKind] = &[$(TrapKind::$kind),+];
        }
    };
}

trap_kinds! {
    /// The instruction `unreachable`.
    Unreachable,
    /// An access outside of a memory.
    OutOfBoundsMemoryAccess,
    /// An access outside of a table, also by an indirect call.
    OutOfBoundsTableAccess,
    /// An indirect call by an element that is null.
    UninitializedElement,
    /// An indirect call of a function of another type.
    IndirectCallTypeMismatch,
    /// A division of integers by zero.
    IntegerDivideByZero,
    /// A division of integers whose quotient does not fit, or a conversion of a number that is too large.
    IntegerOverflow,
    /// A conversion of NaN to an integer.
    InvalidConversionToInteger,
}

// Each number has room for the kind.
const _: () = assert!(TrapKind::ALL.len() <= 1 << KIND_BITS);

/// A trap site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrapSite {
    /// The offset of the instruction in the text.
    pub offset: u32,
    /// The kind of the trap.
    pub kind: TrapKind,
}

impl TrapSite {
    /// Encodes the entry, piece by piece, after a site at `before`, which is 0 for the first.
    pub fn encode(&self, before: u32, put: &mut dyn FnMut(&[u8])) {
        let distance = u64::from(self.offset.saturating_sub(before));
        write(distance << KIND_BITS | self.kind as u64, put);
    }
}

/// An error in a list of trap sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadTrap {
    /// The list has no entries.
    NoEntry,
    /// An entry extends beyond the end of the list.
    CutOff,
    /// A number is too large, or not in its shortest form.
    Number,
    /// A kind is unknown.
    Kind,
    /// A site is that of the entry before.
    Order,
    /// A site lies beyond the text.
    Place,
}

impl BadTrap {
    /// Returns a description for messages.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            BadTrap::NoEntry => "it is not there",
            BadTrap::CutOff => "it ends behind the list's end",
            BadTrap::Number => "it is too large or not in its shortest form",
            BadTrap::Kind => "its kind is unknown",
            BadTrap::Order => "it is at the place of the one before",
            BadTrap::Place => "it lies behind the text",
        }
    }
}

/// An iterator over the entries of a list; it ends after the first that can't be read.
#[derive(Clone, Debug)]
pub struct Traps<'bytes> {
    rest: &'bytes [u8],
    /// The offset of the previous site.
    before: Option<u32>,
}

impl<'bytes> Traps<'bytes> {
    /// Creates an iterator over an encoded list.
    #[must_use]
    pub const fn new(bytes: &'bytes [u8]) -> Traps<'bytes> {
        Traps { rest: bytes, before: None }
    }

    /// Validates the list `bytes` of code with `text_size` bytes of text.
    ///
    /// # Errors
    /// The number of the first invalid entry, counted from 1, and the reason.
    pub fn check(bytes: &'bytes [u8], text_size: u32) -> Result<(), (usize, BadTrap)> {
        if bytes.is_empty() {
            return Err((1, BadTrap::NoEntry));
        }
        for (number, site) in (1..).zip(Traps::new(bytes)) {
            let site = site.map_err(|why| (number, why))?;
            if site.offset >= text_size {
                return Err((number, BadTrap::Place));
            }
        }
        Ok(())
    }

    /// Finds the kind of the trap whose instruction is at `offset` from the start of the text.
    #[must_use]
    pub fn find(bytes: &'bytes [u8], offset: u64) -> Option<TrapKind> {
        let mut sites = Traps::new(bytes).map_while(Result::ok).skip_while(|site| u64::from(site.offset) < offset);
        sites.next().filter(|site| u64::from(site.offset) == offset).map(|site| site.kind)
    }

    fn read(&mut self) -> Result<TrapSite, BadTrap> {
        let number = read(&mut self.rest).map_err(|why| match why {
            BadNumber::CutOff => BadTrap::CutOff,
            BadNumber::TooLong | BadNumber::NotShortest => BadTrap::Number,
        })?;
        let kind = number as usize % (1 << KIND_BITS);
        let kind = *TrapKind::ALL.get(kind).ok_or(BadTrap::Kind)?;
        let distance = u32::try_from(number >> KIND_BITS).map_err(|_| BadTrap::Number)?;
        let offset = match self.before {
            Some(_) if distance == 0 => return Err(BadTrap::Order),
            before => before.unwrap_or(0).checked_add(distance).ok_or(BadTrap::Place)?,
        };
        self.before = Some(offset);
        Ok(TrapSite { offset, kind })
    }
}

impl Iterator for Traps<'_> {
    type Item = Result<TrapSite, BadTrap>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let site = self.read();
        if site.is_err() {
            self.rest = &[];
        }
        Some(site)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sites at 0, 7 and 300.
    const LIST: [u8; 4] = [0x00, 0x75, 0xd1, 0x24];

    const SITES: [TrapSite; 3] = [
        TrapSite { offset: 0, kind: TrapKind::Unreachable },
        TrapSite { offset: 7, kind: TrapKind::IntegerDivideByZero },
        TrapSite { offset: 300, kind: TrapKind::OutOfBoundsMemoryAccess },
    ];

    #[test]
    fn reads_what_it_writes() {
        let (mut written, mut length, mut before) = ([0; 16], 0, 0);
        for site in SITES {
            site.encode(before, &mut |bytes| {
                written[length..length + bytes.len()].copy_from_slice(bytes);
                length += bytes.len();
            });
            before = site.offset;
        }
        assert_eq!(&written[..length], LIST);
        let mut read = Traps::new(&LIST);
        assert_eq!([(); 4].map(|()| read.next()), [Some(Ok(SITES[0])), Some(Ok(SITES[1])), Some(Ok(SITES[2])), None]);
        assert_eq!(Traps::check(&LIST, 301), Ok(()));
    }

    #[test]
    fn finds_the_trap_of_an_instruction_and_of_no_other() {
        for site in SITES {
            assert_eq!(Traps::find(&LIST, site.offset.into()), Some(site.kind));
        }
        for other in [1, 6, 8, 299, 301, u64::from(u32::MAX) + 1, u64::MAX] {
            assert_eq!(Traps::find(&LIST, other), None, "{other}");
        }
    }

    #[test]
    fn the_last_place_of_the_largest_text_is_in_reach() {
        let (mut length, far) = (0, TrapSite { offset: u32::MAX >> 1, kind: TrapKind::InvalidConversionToInteger });
        let mut written = [0; 8];
        far.encode(0, &mut |bytes| {
            written[length..length + bytes.len()].copy_from_slice(bytes);
            length += bytes.len();
        });
        assert_eq!(Traps::new(&written[..length]).next(), Some(Ok(far)));
    }

    #[test]
    fn rejects_what_is_no_list() {
        let cases: [(&[u8], (usize, BadTrap)); 8] = [
            (b"", (1, BadTrap::NoEntry)),
            (&LIST[..3], (3, BadTrap::CutOff)),
            (&[0x80, 0], (1, BadTrap::Number)),
            (&[0, 0x80, 0x80, 0x80, 0x80, 0x80, 1], (2, BadTrap::Number)),
            (&[0x08], (1, BadTrap::Kind)),
            (&[0x75, 0x0f], (2, BadTrap::Kind)),
            (&[0x00, 0x05], (2, BadTrap::Order)),
            (&[0xf0, 0xff, 0xff, 0xff, 0x7f, 0xf0, 0xff, 0xff, 0xff, 0x7f, 0x70], (1, BadTrap::Place)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Traps::check(bytes, 301), Err(expected), "{bytes:?}");
        }
        assert_eq!(Traps::check(&LIST, 300), Err((3, BadTrap::Place)));
    }
}
