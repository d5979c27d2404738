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
}

impl Ascent {
    /// Creates the state of a module that was just loaded.
    #[must_use]
    pub const fn new(rule: Rule) -> Ascent {
        Ascent { rule, history: Vec::new(), refused: None }
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
        next.filter(|_| self.refused.is_none())
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

    /// Notes what came of an upgrade.
    pub fn note(&mut self, outcome: Result<Upgrade, Refused>) {
        match outcome {
            Ok(upgrade) => {
                // Without memory for it, the history has a gap.
                if self.history.try_reserve(1).is_ok() {
                    self.history.push(upgrade);
                }
            }
            // It may work the next time.
            Err(Refused::Busy) => {}
            Err(Refused::For(reason)) => self.refused = Some(reason),
        }
    }
}
