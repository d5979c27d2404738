//! The way of one module through the tiers.

use alloc::vec::Vec;

use bareflow_loader::Cost;
use bareflow_protocol::report::{self, TierSwitch};
use bareflow_protocol::tier::Tier;

use super::rule::{Rates, Rule};
use super::upgrade::{Refused, Upgrade};
use crate::fallible::{ErrorText, NoMemory, collect};
use crate::text;

/// The state of a module's ascent.
#[derive(Debug, Default)]
pub struct Ascent {
    rule: Rule,
    /// The upgrades so far, at most one for each tier.
    history: Vec<Upgrade>,
    /// The reason for which it stays where it is.
    refused: Option<ErrorText>,
    /// The cycles from which on it is tried once more all the same: memory ran out.
    again_from: Option<u64>,
}

impl Ascent {
    /// Creates the state of a module that was just loaded.
    #[must_use]
    pub const fn new(rule: Rule) -> Ascent {
        Ascent { rule, history: Vec::new(), refused: None, again_from: None }
    }

    /// Returns the reason for which it stays in its tier, if a better one was refused.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Returns the tier to which a module of `bytes` should go, if any: its calls cost so much in the tier `now`.
    #[must_use]
    pub fn next(&self, now: Tier, cost: Cost, bytes: usize, rates: &Rates) -> Option<Tier> {
        let next = self.rule.next(now, cost, bytes, rates);
        let may_go = self.refused.is_none() || self.again_from.is_some_and(|from| cost.cycles >= from);
        next.filter(|_| may_go)
    }

    /// Returns what is said of it; `None` as long as there is nothing to say.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn report(&self) -> Result<Option<report::Ascent>, NoMemory> {
        if self.history.is_empty() && self.refused.is_none() {
            return Ok(None);
        }
        let switches = collect(self.history.iter().map(|upgrade| {
            Ok::<_, NoMemory>(TierSwitch {
                from: upgrade.from.number().unwrap_or_default(),
                to: upgrade.to.number().unwrap_or_default(),
                calls: upgrade.cost.calls,
                cycles: upgrade.cost.cycles,
                compile_cycles: upgrade.compile_cycles,
                prepare_cycles: upgrade.prepare_cycles,
                switch_cycles: upgrade.switch_cycles,
                compared: text!("{}", upgrade.compared.name())?,
            })
        }))?;
        let refused = self.refused().map(|reason| text!("{reason}")).transpose()?;
        Ok(Some(report::Ascent { switches, refused }))
    }

    /// Notes what came of an upgrade, for which its calls had taken so many `cycles` in its tier.
    ///
    /// If memory ran out, it is tried again once that is twice as much: so what failed costs no more than the calls did.
    pub fn note(&mut self, outcome: Result<Upgrade, Refused>, cycles: u64) {
        match outcome {
            Ok(upgrade) => {
                (self.refused, self.again_from) = (None, None);
                // Without memory for it, the history has a gap.
                if self.history.try_reserve(1).is_ok() {
                    self.history.push(upgrade);
                }
            }
            // It may work the next time.
            Err(Refused::Busy) => {}
            Err(Refused::NoMemory(reason)) => {
                (self.refused, self.again_from) = (Some(reason), Some(cycles.saturating_mul(2)));
            }
            Err(Refused::For(reason)) => (self.refused, self.again_from) = (Some(reason), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: Rates = Rates::MEASURED_ELSEWHERE;

    #[test]
    fn what_lacked_memory_is_tried_again_once_it_has_cost_twice_as_much() {
        let mut ascent = Ascent::new(Rule::Calls([1, 1]));
        let next = |ascent: &Ascent, cycles| ascent.next(Tier::Interpreted, Cost { calls: 9, cycles }, 1, &RATES);
        assert_eq!(next(&ascent, 100), Some(Tier::Quick));
        ascent.note(Err(Refused::NoMemory("no pages".into())), 100);
        assert_eq!(ascent.refused(), Some("no pages"));
        assert_eq!([199, 200].map(|cycles| next(&ascent, cycles)), [None, Some(Tier::Quick)]);
        ascent.note(Err(Refused::NoMemory("no pages".into())), 200);
        assert_eq!([399, 400].map(|cycles| next(&ascent, cycles)), [None, Some(Tier::Quick)]);
        // Other reasons hold for good.
        ascent.note(Err(Refused::For("results differ".into())), 400);
        assert_eq!((next(&ascent, u64::MAX), ascent.refused()), (None, Some("results differ")));
    }
}
