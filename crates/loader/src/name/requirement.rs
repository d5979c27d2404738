//! Version requirements in selectors, by the rules of Cargo.
//!
//! `semver::VersionReq` allocates its parts infallibly. This module parses one `Comparator` after the other instead,
//! which allocates nothing unless a pre-release is named.

use semver::{Comparator, Op};

use crate::name::Version;

/// The maximum number of comparators in a requirement, such as the two of `>=1.2, <3`.
const MAX_COMPARATORS: usize = 8;

/// A version requirement: a list of comparators, all of which a version has to meet.
pub(crate) struct Requirement([Option<Comparator>; MAX_COMPARATORS]);

impl Requirement {
    /// Parses `1.2.0` (exactly that version), `*`, `^1`, `>=1.2, <3` and the like; `None` if `text` is none of these.
    ///
    /// Modules have no pre-releases, so a requirement that names one is refused.
    pub fn parse(text: &str) -> Option<Requirement> {
        if text.contains(['-', '+']) {
            return None;
        }
        let mut comparators = [const { None }; MAX_COMPARATORS];
        if text.trim() == "*" {
            return Some(Requirement(comparators));
        }
        let is_version = semver::Version::parse(text).is_ok();
        let mut targets = comparators.iter_mut();
        for part in text.split(',') {
            let mut comparator = Comparator::parse(part.trim()).ok()?;
            if is_version {
                comparator.op = Op::Exact;
            }
            *targets.next()? = Some(comparator);
        }
        Some(Requirement(comparators))
    }

    /// Returns whether a version meets the requirement.
    pub fn admits(&self, version: &Version) -> bool {
        let version = semver::Version::new(version.major.into(), version.minor.into(), version.patch.into());
        self.0.iter().flatten().all(|comparator| comparator.matches(&version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(text: &str, [major, minor, patch]: [u32; 3]) -> bool {
        Requirement::parse(text).unwrap().admits(&Version { major, minor, patch })
    }

    #[test]
    fn admits_what_cargo_would() {
        let versions = [[0, 9, 0], [1, 0, 0], [1, 2, 0], [1, 2, 3], [1, 9, 9], [2, 0, 0], [3, 1, 0]];
        for text in ["*", "^1", "1", "1.2", "~1.2", "=1.2", ">=1.2, <3", "1.*", ">1, <=1.9", "<2.0.0", "=1.2.3", "^0.9"]
        {
            let requirement = semver::VersionReq::parse(text).unwrap();
            for version @ [major, minor, patch] in versions {
                let expected = requirement.matches(&semver::Version::new(major.into(), minor.into(), patch.into()));
                assert_eq!(admits(text, version), expected, "{text} {version:?}");
            }
        }
        assert!(admits("1.2.0", [1, 2, 0]) && !admits("1.2.0", [1, 2, 3]));
    }

    #[test]
    fn rejects_what_is_no_requirement() {
        let many = [">=1"; MAX_COMPARATORS + 1].join(",");
        for text in ["", " ", "x", "1,", ",1", "1 2", "^1.0.0-rc.1", "1.0.0+a", "**", "999999999999999999999", &many] {
            assert!(Requirement::parse(text).is_none(), "{text}");
        }
    }
}
