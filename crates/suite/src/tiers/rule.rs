//! The rule by which a portable module leaves a tier: once it has cost as much there as the next one's compilation takes.
//!
//! Whatever the calls that are still to come, such a module has then spent at most twice what the better choice would have
//! been (the rule of the ski rental: Karlin, Manasse, Rudolph and Sleator, Competitive snoopy caching, 1988).

use bareflow_loader::Cost;
use bareflow_protocol::tier::Tier;

/// The cycles that compilations take for each byte of WebAssembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    quick: u64,
    fast: u64,
}

impl Rates {
    /// The rates of modules of 0.7 MB on a Xeon of 2.6 GHz, until something was compiled here.
    pub const MEASURED_ELSEWHERE: Rates = Rates { quick: 900, fast: 2_200 };

    /// Returns the cycles that the compilation of so many bytes to a tier is expected to take. That to the tier of the
    /// interpreter is a copy.
    #[must_use]
    pub const fn expected(&self, to: Tier, bytes: usize) -> u64 {
        let rate = match to {
            Tier::Interpreted | Tier::Auto => 0,
            Tier::Quick => self.quick,
            Tier::Fast => self.fast,
        };
        rate.saturating_mul(bytes as u64)
    }

    /// Notes that a compilation took so many cycles: the next ones are expected to be like it.
    pub fn note(&mut self, to: Tier, bytes: usize, cycles: u64) {
        let rate = match to {
            Tier::Interpreted | Tier::Auto => return,
            Tier::Quick => &mut self.quick,
            Tier::Fast => &mut self.fast,
        };
        *rate = (cycles / (bytes as u64).max(1)).max(1);
    }
}

/// When a module leaves a tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// Never.
    Never,
    /// Once it has cost what the compilation to [`Tier::Fast`] takes. The tier between is passed over, since it does not pay:
    /// see docs/live.md.
    #[default]
    Cost,
    /// After so many calls in the tiers 0 and 1.
    Calls([u64; 2]),
}

impl Rule {
    /// Returns the rule of modules that choose their tier: by these numbers of calls, or by their cost.
    #[must_use]
    pub const fn new(calls: Option<[u64; 2]>) -> Rule {
        match calls {
            Some(calls) => Rule::Calls(calls),
            None => Rule::Cost,
        }
    }

    /// Returns the tier to which a module of `bytes` should go, if any: it has spent so much in the tier `now`.
    #[must_use]
    pub fn next(&self, now: Tier, spent: Cost, bytes: usize, rates: &Rates) -> Option<Tier> {
        match (self, now) {
            (Rule::Never, _) | (_, Tier::Fast | Tier::Auto) => None,
            (Rule::Cost, _) => (spent.cycles >= rates.expected(Tier::Fast, bytes)).then_some(Tier::Fast),
            (Rule::Calls([first, _]), Tier::Interpreted) => (spent.calls >= *first).then_some(Tier::Quick),
            (Rule::Calls([_, second]), Tier::Quick) => (spent.calls >= *second).then_some(Tier::Fast),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: Rates = Rates { quick: 10, fast: 100 };

    #[test]
    fn a_module_leaves_once_it_has_cost_what_the_next_compilation_takes() {
        let next = |now, cycles| Rule::Cost.next(now, Cost { calls: 1, cycles }, 7, &RATES);
        assert_eq!(next(Tier::Interpreted, 699), None);
        assert_eq!(next(Tier::Interpreted, 700), Some(Tier::Fast));
        assert_eq!(next(Tier::Quick, 700), Some(Tier::Fast));
        assert_eq!(next(Tier::Fast, u64::MAX), None);
    }

    #[test]
    fn a_module_leaves_after_its_calls() {
        let next = |now, calls| Rule::Calls([2, 5]).next(now, Cost { calls, cycles: u64::MAX }, 7, &RATES);
        assert_eq!([1, 2].map(|calls| next(Tier::Interpreted, calls)), [None, Some(Tier::Quick)]);
        assert_eq!([4, 5].map(|calls| next(Tier::Quick, calls)), [None, Some(Tier::Fast)]);
        assert_eq!(next(Tier::Fast, u64::MAX), None);
        assert_eq!(Rule::Never.next(Tier::Interpreted, Cost { calls: u64::MAX, cycles: u64::MAX }, 0, &RATES), None);
    }

    #[test]
    fn what_was_compiled_says_what_is_expected() {
        let mut rates = RATES;
        rates.note(Tier::Fast, 100, 30_000);
        assert_eq!((rates.expected(Tier::Fast, 7), rates.expected(Tier::Quick, 7)), (2_100, 70));
        rates.note(Tier::Quick, 0, 0);
        assert_eq!(rates.expected(Tier::Quick, 7), 7);
        rates.note(Tier::Fast, 1, u64::MAX);
        assert_eq!(rates.expected(Tier::Fast, usize::MAX), u64::MAX);
        assert_eq!(rates.expected(Tier::Interpreted, 7), 0);
    }
}
