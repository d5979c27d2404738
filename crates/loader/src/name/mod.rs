//! Module names and versions.

mod key;
#[cfg(feature = "semver")]
pub(crate) mod requirement;
pub mod version_range;

use core::fmt;

use bareflow_abi::depends::VersionParts;
use bareflow_abi::header::{Header, NAME_SIZE, is_name_byte};

pub(crate) use key::Key;

/// The length of the longest name, in bytes.
pub const MAX_NAME_LENGTH: usize = NAME_SIZE - 1;

/// A name that follows the rule `[a-z0-9_-]{1,31}`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name([u8; NAME_SIZE]);

impl Name {
    /// Returns the name that `text` spells, or `None` if it breaks the rule.
    #[must_use]
    pub fn new(text: &str) -> Option<Name> {
        let mut field = [0; NAME_SIZE];
        field.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Name::from_field(field)
    }

    /// Returns the name in a header's field, or `None` if it breaks the rule or is followed by anything but zeros.
    #[must_use]
    pub fn from_field(field: [u8; NAME_SIZE]) -> Option<Name> {
        is_name(&field).then_some(Name(field))
    }

    /// Returns the name in a header's field that has been validated.
    #[inline]
    pub(crate) const fn valid(field: [u8; NAME_SIZE]) -> Name {
        Name(field)
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|&byte| byte == 0).unwrap_or(NAME_SIZE);
        // Both defaults are unreachable: the constructors admit only ASCII and a final zero.
        core::str::from_utf8(self.0.get(..length).unwrap_or_default()).unwrap_or_default()
    }
}

/// Returns whether a header's field holds a name that follows the rule, padded with zeros.
#[inline(never)]
pub(crate) fn is_name(field: &[u8; NAME_SIZE]) -> bool {
    let (words, _) = field.as_chunks::<8>();
    let word = |index: usize| words.get(index).map_or(0, |word| u64::from_le_bytes(*word));
    // The name ends at the last nonzero byte of the last nonzero word.
    let Some(last) = (0..words.len()).rev().find(|&index| word(index) != 0) else { return false };
    let length = 8 * last + 8 - word(last).leading_zeros() as usize / 8;
    length < NAME_SIZE && field.get(..length).is_some_and(|name| name.iter().all(|&byte| is_name_byte(byte)))
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

/// A module's semantic version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The major part, which is raised for incompatible changes.
    pub major: u32,
    /// The minor part, which is raised for compatible additions.
    pub minor: u32,
    /// The patch part, which is raised for compatible corrections.
    pub patch: u32,
}

impl Version {
    /// Returns the version in a header.
    #[must_use]
    pub const fn of(header: &Header) -> Version {
        Version { major: header.version_major, minor: header.version_minor, patch: header.version_patch }
    }

    /// Returns the parts, in the form that dependencies use.
    #[must_use]
    pub const fn parts(self) -> VersionParts {
        [self.major, self.minor, self.patch]
    }
}

impl From<VersionParts> for Version {
    fn from([major, minor, patch]: VersionParts) -> Version {
        Version { major, minor, patch }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_the_rule_allows() {
        for text in ["a", "fibonacci", "sort-2_x", "0123456789abcdefghijklmnopqrstu"] {
            assert_eq!(Name::new(text).map(|name| name.as_str().len()), Some(text.len()), "{text}");
        }
    }

    #[test]
    fn rejects_what_it_does_not() {
        for text in ["", "Sum", "a b", "a/b", "ä", "0123456789abcdefghijklmnopqrstuv", "a\0b"] {
            assert_eq!(Name::new(text), None, "{text}");
        }
    }
}
