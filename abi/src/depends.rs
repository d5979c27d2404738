//! Dependencies: the list of modules that a module may call, as a record of its blob.
//!
//! The packer writes it and the loader reads it. An entry is the length of a name, the name, the lowest admissible
//! version, and the first version above the range (three `u32` each; all ones if there is no upper bound).

use crate::header::{NAME_SIZE, is_name_byte};

/// The maximum number of entries of a module.
pub const MAX_DEPENDENCIES: usize = 64;

/// A version: major, minor, patch.
pub type VersionParts = [u32; 3];

/// The encoding of a missing upper bound.
const NONE: VersionParts = [u32::MAX; 3];

/// The size of an entry after its name, in bytes.
const RANGE_SIZE: usize = 24;

/// A module that may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency<'bytes> {
    /// The module's name.
    pub name: &'bytes str,
    /// The lowest admissible version.
    pub from: VersionParts,
    /// The first version above the range, if it has an upper bound.
    pub below: Option<VersionParts>,
}

impl Dependency<'_> {
    /// Returns whether a version is in the range.
    #[must_use]
    pub fn admits(&self, version: VersionParts) -> bool {
        self.from <= version && self.below.is_none_or(|below| version < below)
    }

    /// Encodes the entry, piece by piece.
    pub fn encode(&self, put: &mut dyn FnMut(&[u8])) {
        // A valid name has at most 31 bytes.
        put(&[self.name.len() as u8]);
        put(self.name.as_bytes());
        for part in self.from.into_iter().chain(self.below.unwrap_or(NONE)) {
            put(&part.to_le_bytes());
        }
    }
}

/// An error in a dependency list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadDependency {
    /// An entry extends beyond the end of the list.
    CutOff,
    /// A name breaks the naming rule.
    Name,
    /// A name appears twice.
    Twice,
    /// The module names itself.
    Itself,
    /// The range contains no version.
    Empty,
    /// There are more than [`MAX_DEPENDENCIES`] entries.
    TooMany,
}

impl BadDependency {
    /// Returns a description for messages.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            BadDependency::CutOff => "it ends behind the list's end",
            BadDependency::Name => "its name breaks the rule",
            BadDependency::Twice => "its name is there twice",
            BadDependency::Itself => "it is the module itself",
            BadDependency::Empty => "no version is in its interval",
            BadDependency::TooMany => "it is one too many",
        }
    }
}

/// An iterator over the entries of a list; it ends at the first that is cut off or has a bad name.
#[derive(Clone, Debug)]
pub struct Dependencies<'bytes>(&'bytes [u8]);

impl<'bytes> Dependencies<'bytes> {
    /// Creates an iterator over an encoded list.
    #[must_use]
    pub const fn new(bytes: &'bytes [u8]) -> Dependencies<'bytes> {
        Dependencies(bytes)
    }

    /// Validates the list `bytes` of the module named `own`. Returns the number of entries.
    ///
    /// # Errors
    /// The number of the first invalid entry, counted from 1, and the reason.
    pub fn check(bytes: &'bytes [u8], own: &[u8]) -> Result<usize, (usize, BadDependency)> {
        let mut rest = Dependencies(bytes);
        let mut count = 0;
        while !rest.0.is_empty() {
            let found = rest.read();
            let earlier = Dependencies(bytes).take(count);
            count += 1;
            let wrong = |what| Err((count, what));
            match found {
                _ if count > MAX_DEPENDENCIES => return wrong(BadDependency::TooMany),
                Err(what) => return wrong(what),
                Ok(entry) if entry.name.as_bytes() == own => return wrong(BadDependency::Itself),
                Ok(entry) if entry.below.is_some_and(|below| below <= entry.from) => {
                    return wrong(BadDependency::Empty);
                }
                Ok(entry) if earlier.into_iter().any(|earlier| earlier.name == entry.name) => {
                    return wrong(BadDependency::Twice);
                }
                Ok(_) => {}
            }
        }
        Ok(count)
    }

    fn read(&mut self) -> Result<Dependency<'bytes>, BadDependency> {
        let (length, rest) = self.0.split_first().ok_or(BadDependency::CutOff)?;
        let (name, rest) = rest.split_at_checked(usize::from(*length)).ok_or(BadDependency::CutOff)?;
        let (range, rest) = rest.split_first_chunk::<RANGE_SIZE>().ok_or(BadDependency::CutOff)?;
        let valid = (1..NAME_SIZE).contains(&name.len()) && name.iter().copied().all(is_name_byte);
        let name = core::str::from_utf8(name).ok().filter(|_| valid).ok_or(BadDependency::Name)?;
        self.0 = rest;
        let mut parts =
            range.chunks_exact(4).map(|part| part.iter().rev().fold(0, |all, &byte| all << 8 | u32::from(byte)));
        let mut next = || parts.next().unwrap_or_default();
        let (from, below) = ([next(), next(), next()], [next(), next(), next()]);
        Ok(Dependency { name, from, below: Some(below).filter(|below| *below != NONE) })
    }
}

impl<'bytes> Iterator for Dependencies<'bytes> {
    type Item = Dependency<'bytes>;

    fn next(&mut self) -> Option<Dependency<'bytes>> {
        self.read().ok()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    const SUM: Dependency<'_> = Dependency { name: "sum", from: [1, 0, 0], below: Some([2, 0, 0]) };

    fn encoded(entries: &[Dependency<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        entries.iter().for_each(|entry| entry.encode(&mut |part| bytes.extend_from_slice(part)));
        bytes
    }

    #[test]
    fn reads_what_it_writes() {
        let entries = [SUM, Dependency { name: "primes", from: [0, 1, 7], below: None }];
        let bytes = encoded(&entries);
        assert_eq!(Dependencies::check(&bytes, b"caller"), Ok(2));
        assert_eq!(Dependencies::new(&bytes).collect::<Vec<_>>(), entries);
        assert_eq!(bytes[..8], *b"\x03sum\x01\0\0\0");
    }

    #[test]
    fn knows_which_versions_will_do() {
        assert!(SUM.admits([1, 0, 0]) && SUM.admits([1, 99, 0]));
        assert!(!SUM.admits([0, 9, 9]) && !SUM.admits([2, 0, 0]));
        assert!(Dependency { below: None, ..SUM }.admits([u32::MAX; 3]));
    }

    #[test]
    fn rejects_what_is_wrong() {
        let check = |entries: &[Dependency<'_>]| Dependencies::check(&encoded(entries), b"caller");
        assert_eq!(check(&[SUM, Dependency { name: "caller", ..SUM }]), Err((2, BadDependency::Itself)));
        assert_eq!(check(&[SUM, SUM]), Err((2, BadDependency::Twice)));
        assert_eq!(check(&[Dependency { name: "Sum", ..SUM }]), Err((1, BadDependency::Name)));
        assert_eq!(check(&[Dependency { name: "", ..SUM }]), Err((1, BadDependency::Name)));
        assert_eq!(check(&[Dependency { below: Some([1, 0, 0]), ..SUM }]), Err((1, BadDependency::Empty)));
        let names: Vec<_> = (0..=MAX_DEPENDENCIES).map(|number| std::format!("m{number}")).collect();
        let many: Vec<_> = names.iter().map(|name| Dependency { name, ..SUM }).collect();
        assert_eq!(check(&many), Err((MAX_DEPENDENCIES + 1, BadDependency::TooMany)));
        let whole = encoded(&[SUM]);
        for length in 1..whole.len() {
            assert_eq!(Dependencies::check(&whole[..length], b"caller"), Err((1, BadDependency::CutOff)));
        }
    }
}
