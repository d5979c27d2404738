//! The outcomes of a campaign's injections, or of a part of them.

use std::collections::BTreeMap;

use bareflow_protocol::campaign::{Injection, InjectionOutcome, Target};
use serde::{Deserialize, Serialize};

/// The counts of outcomes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Bits flipped.
    pub injected: u64,
    /// Injections that had an effect.
    pub manifested: u64,
    /// Injections that ended in a typed fault of the module.
    pub contained: u64,
    /// Injections after which a freshly loaded module gave the right result again.
    pub recovered: u64,
    /// Injections that gave a wrong result and no fault.
    pub silent_wrong: u64,
    /// Injections after which the kernel was lost.
    pub kernel_lost: u64,
    /// Faults by kind.
    pub faults: BTreeMap<String, u64>,
    /// Injections, and those with an effect, by target.
    pub targets: BTreeMap<String, (u64, u64)>,
}

impl Tally {
    /// Counts an injection.
    pub fn count(&mut self, injection: &Injection) {
        self.injected += 1;
        let target = self.targets.entry(name(injection.target)).or_default();
        target.0 += 1;
        match &injection.outcome {
            InjectionOutcome::Masked => return,
            InjectionOutcome::Wrong => self.silent_wrong += 1,
            InjectionOutcome::Fault(kind) => {
                self.contained += 1;
                *self.faults.entry(kind.clone()).or_default() += 1;
            }
        }
        target.1 += 1;
        self.manifested += 1;
        self.recovered += u64::from(injection.recovered);
    }

    /// Counts an injection that the kernel did not survive.
    pub fn count_lost(&mut self) {
        self.injected += 1;
        self.manifested += 1;
        self.kernel_lost += 1;
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Tally) {
        self.injected += other.injected;
        self.manifested += other.manifested;
        self.contained += other.contained;
        self.recovered += other.recovered;
        self.silent_wrong += other.silent_wrong;
        self.kernel_lost += other.kernel_lost;
        for (kind, count) in &other.faults {
            *self.faults.entry(kind.clone()).or_default() += count;
        }
        for (target, (injected, manifested)) in &other.targets {
            let sum = self.targets.entry(target.clone()).or_default();
            *sum = (sum.0 + injected, sum.1 + manifested);
        }
    }
}

fn name(target: Target) -> String {
    let name = match target {
        Target::Text => "text",
        Target::Rodata => "rodata",
        Target::Data => "data",
        Target::Stack => "stack",
        Target::Register => "register",
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn injection(outcome: InjectionOutcome, recovered: bool) -> Injection {
        Injection { index: 0, module: 0, target: Target::Stack, outcome, recovered }
    }

    #[test]
    fn counts_each_outcome_and_adds_up() {
        let mut tally = Tally::default();
        tally.count(&injection(InjectionOutcome::Masked, false));
        tally.count(&injection(InjectionOutcome::Wrong, true));
        tally.count(&injection(InjectionOutcome::Fault("divide".into()), true));
        tally.count(&injection(InjectionOutcome::Fault("divide".into()), false));
        tally.count_lost();
        let found = (tally.injected, tally.manifested, tally.contained, tally.recovered);
        assert_eq!(found, (5, 4, 2, 2));
        assert_eq!((tally.silent_wrong, tally.kernel_lost, tally.faults["divide"]), (1, 1, 2));
        let mut twice = tally.clone();
        twice.add(&tally);
        assert_eq!((twice.injected, twice.targets["stack"]), (10, (8, 6)));
    }
}
