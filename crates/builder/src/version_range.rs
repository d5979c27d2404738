//! Conversion of a version requirement, by Cargo's rules, to the one range of versions that meets it.

use bareflow_abi::depends::VersionParts;
use semver::{Comparator, Op, VersionReq};

/// The lowest version that meets a requirement, and the first one that is too high, if there is one.
pub(crate) type VersionRange = (VersionParts, Option<VersionParts>);

/// A version whose parts can be incremented without overflow.
type Wide = [u64; 3];

/// Converts a requirement.
///
/// # Errors
/// A text that says what was found, what was expected, and what to do.
pub(crate) fn of(requirement: &str) -> Result<VersionRange, String> {
    let parsed = VersionReq::parse(requirement)
        .map_err(|error| format!("{error}; expected a requirement such as \"^1\" or \">=1.2, <3\""))?;
    let (mut from, mut below): (Wide, Option<Wide>) = ([0; 3], None);
    for comparator in &parsed.comparators {
        if !comparator.pre.is_empty() {
            return Err("modules have no pre-releases; leave out what is behind the hyphen".to_owned());
        }
        let (least, end) = bounds(comparator);
        from = from.max(least);
        below = [below, end].into_iter().flatten().min();
    }
    let narrow = |wide: Wide| -> Result<VersionParts, String> {
        let parts = wide.map(|part| u32::try_from(part).ok());
        let [Some(major), Some(minor), Some(patch)] = parts else {
            return Err(format!("a number is too large, expected less than {}", u32::MAX));
        };
        Ok([major, minor, patch])
    };
    let (from, below) = (narrow(from)?, below.map(narrow).transpose()?);
    if below.is_some_and(|below| below <= from) {
        return Err("no version can meet it; expected one that some versions meet".to_owned());
    }
    Ok((from, below))
}

/// Returns the bounds that one comparator of a requirement gives.
///
/// The rules are those of <https://doc.rust-lang.org/cargo/reference/specifying-dependencies.html>.
fn bounds(comparator: &Comparator) -> (Wide, Option<Wide>) {
    let (major, minor, patch) = (comparator.major, comparator.minor, comparator.patch);
    let least = [major, minor.unwrap_or(0), patch.unwrap_or(0)];
    // The first version after all that begin with the given parts.
    let behind = match (minor, patch) {
        (None, _) => [major.saturating_add(1), 0, 0],
        (Some(minor), None) => [major, minor.saturating_add(1), 0],
        (Some(minor), Some(patch)) => [major, minor, patch.saturating_add(1)],
    };
    let next_minor = [major, minor.unwrap_or(0).saturating_add(1), 0];
    let next_major = [major.saturating_add(1), 0, 0];
    match comparator.op {
        Op::Greater => (behind, None),
        Op::GreaterEq => (least, None),
        Op::Less => ([0; 3], Some(least)),
        Op::LessEq => ([0; 3], Some(behind)),
        Op::Tilde if minor.is_some() => (least, Some(next_minor)),
        Op::Tilde => (least, Some(next_major)),
        // Compatible versions have the same parts up to the first that is not zero.
        Op::Caret => match (major, minor, patch) {
            (1.., _, _) | (_, None, _) => (least, Some(next_major)),
            (_, Some(1..), _) | (_, _, None) => (least, Some(next_minor)),
            _ => (least, Some(behind)),
        },
        // The other operators are exact and wildcard: both match the versions that begin with the given parts.
        _ => (least, Some(behind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_cargo_reads() {
        assert_eq!(of("1.2.3"), Ok(([1, 2, 3], Some([2, 0, 0]))));
        assert_eq!(of("=0.1.0"), Ok(([0, 1, 0], Some([0, 1, 1]))));
        assert_eq!(of(">=1.2, <3"), Ok(([1, 2, 0], Some([3, 0, 0]))));
        assert_eq!(of("*"), Ok(([0; 3], None)));
    }

    #[test]
    fn rejects_what_no_module_can_meet() {
        for (requirement, why) in [
            ("one", "expected a requirement"),
            ("^1.0.0-beta", "no pre-releases"),
            (">2, <1", "no version can meet it"),
            ("=4294967296", "too large"),
        ] {
            let error = of(requirement).unwrap_err();
            assert!(error.contains(why), "{requirement}: {error}");
        }
    }

    proptest! {
        #[test]
        fn means_what_cargo_means(
            op in prop::sample::select(vec!["=", ">", ">=", "<", "<=", "~", "^", ""]),
            parts in prop::collection::vec(0..3_u32, 1..4),
            wildcard in any::<bool>(),
            versions in prop::collection::vec([0..4_u32, 0..4_u32, 0..4_u32], 20),
        ) {
            let text: Vec<_> = parts.iter().map(u32::to_string).collect();
            let requirement = match wildcard && parts.len() < 3 {
                true => format!("{}.*", text.join(".")),
                false => format!("{op}{}", text.join(".")),
            };
            let cargos = VersionReq::parse(&requirement).unwrap();
            let admits = |version: [u32; 3]| match of(&requirement) {
                Ok((from, below)) => from <= version && below.is_none_or(|below| version < below),
                Err(_) => false,
            };
            for version in versions {
                let [major, minor, patch] = version.map(u64::from);
                prop_assert_eq!(admits(version), cargos.matches(&semver::Version::new(major, minor, patch)), "{} {:?}", requirement, version);
            }
        }
    }
}
