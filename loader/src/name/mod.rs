//! A module's name, and its version.

mod key;

use core::fmt;

use bareflow_abi::depends::VersionParts;
use bareflow_abi::header::{Header, NAME_SIZE, is_name_byte};

pub(crate) use key::Key;

/// Longest name, in bytes.
pub const MAX_NAME_LENGTH: usize = NAME_SIZE - 1;

/// A name that follows the rule `[a-z0-9_-]{1,31}`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name([u8; NAME_SIZE]);

impl Name {
    /// The name that `text` spells, or `None` when it breaks the rule.
    #[must_use]
    pub fn new(text: &str) -> Option<Name> {
        let mut field = [0; NAME_SIZE];
        field.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Name::from_field(field)
    }

    /// The name in a header's field, or `None` when it breaks the rule or
    /// anything but zeros follows it.
    #[must_use]
    #[inline]
    pub fn from_field(field: [u8; NAME_SIZE]) -> Option<Name> {
        let length = field.iter().take_while(|&&byte| is_name_byte(byte)).count();
        // Zeros follow, at least one, as the last byte can't be one of the name's: looked at word by word.
        let (words, _) = field.as_chunks();
        let mut behind = words.iter().skip(length / 8).map(|word| u64::from_le_bytes(*word));
        let first = behind.next()? >> (8 * (length % 8));
        (length > 0 && behind.fold(first, |all, word| all | word) == 0).then_some(Name(field))
    }

    /// The name in the header's field of a module that was validated.
    #[inline]
    pub(crate) const fn valid(field: [u8; NAME_SIZE]) -> Name {
        Name(field)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|&byte| byte == 0).unwrap_or(NAME_SIZE);
        // Both defaults are unreachable: the constructors let only ASCII and a final zero in.
        core::str::from_utf8(self.0.get(..length).unwrap_or_default()).unwrap_or_default()
    }
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
    /// Incompatible changes.
    pub major: u32,
    /// Compatible additions.
    pub minor: u32,
    /// Compatible corrections.
    pub patch: u32,
}

impl Version {
    /// The version a header names.
    #[must_use]
    pub const fn of(header: &Header) -> Version {
        Version { major: header.version_major, minor: header.version_minor, patch: header.version_patch }
    }

    /// Its parts, as dependencies are written down.
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
