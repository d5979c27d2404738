//! Ranges of versions, as dependencies declare them.

use core::fmt;

use bareflow_abi::depends::Dependency;

use crate::name::Version;

/// A range of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRange {
    /// The lowest version in the range.
    pub from: Version,
    /// The first version above the range, if it has an upper bound.
    pub below: Option<Version>,
}

impl VersionRange {
    /// Returns whether a version is in the range.
    #[must_use]
    pub fn admits(&self, version: &Version) -> bool {
        *version >= self.from && self.below.is_none_or(|below| *version < below)
    }

    /// Returns the range of a dependency.
    #[must_use]
    pub fn of(needed: &Dependency<'_>) -> VersionRange {
        VersionRange { from: needed.from.into(), below: needed.below.map(Version::from) }
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, ">={}", self.from)?;
        self.below.map_or(Ok(()), |below| write!(out, ", <{below}"))
    }
}
