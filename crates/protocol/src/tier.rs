//! Tiers: the ways in which a portable module can run.

use bareflow_loader::Domain;
use serde::{Deserialize, Serialize};

/// The way in which a portable module runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tier {
    /// Interpreted: it runs at once.
    Interpreted,
    /// Compiled quickly.
    Quick,
    /// Compiled to fast code.
    Fast,
    /// As the kernel thinks best, which may change while it runs.
    Auto,
}

impl Tier {
    /// All tiers, slowest code first.
    pub const ALL: [Tier; 4] = [Tier::Interpreted, Tier::Quick, Tier::Fast, Tier::Auto];

    /// Returns the name in options and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Tier::Interpreted => "0",
            Tier::Quick => "1",
            Tier::Fast => "2",
            Tier::Auto => "auto",
        }
    }

    /// Returns the number in reports; `None` for [`Auto`](Tier::Auto), which no module runs in.
    #[must_use]
    pub const fn number(self) -> Option<u8> {
        match self {
            Tier::Interpreted => Some(0),
            Tier::Quick => Some(1),
            Tier::Fast => Some(2),
            Tier::Auto => None,
        }
    }

    /// Returns the tier with the given name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Tier> {
        Tier::ALL.into_iter().find(|tier| tier.name() == name)
    }
}

/// The options for portable modules and their engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portable {
    /// The tier of portable modules.
    pub tier: Tier,
    /// The numbers of calls after which a module leaves the tiers 0 and 1, if its tier is [`Tier::Auto`]; `None`: once it has
    /// cost as much as the next compilation takes.
    pub calls: Option<[u64; 2]>,
    /// The domain that engines run in.
    pub engine_domain: Domain,
    /// Whether code is compiled with the guard against Spectre, and the sandbox demands it.
    pub guard: bool,
}

impl Portable {
    /// The default: tiers by their cost, engines without privileges, and code with the guard.
    pub const DEFAULT: Portable = Portable { tier: Tier::Auto, calls: None, engine_domain: Domain::User, guard: true };
}

impl Default for Portable {
    fn default() -> Portable {
        Portable::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_names() {
        for tier in Tier::ALL {
            assert_eq!(Tier::from_name(tier.name()), Some(tier));
        }
        assert_eq!(Tier::from_name("3"), None);
    }
}
