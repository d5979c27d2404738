//! The outcomes of assertions, counted.

use std::collections::BTreeMap;

/// The outcomes of assertions.
#[derive(Default)]
pub struct Tally {
    pub passed: usize,
    /// Those of the passed that the text's parser decided.
    pub by_text: usize,
    pub failed: usize,
    pub left_out: BTreeMap<String, usize>,
}

impl Tally {
    /// Counts an assertion that is left out.
    pub fn leave_out(&mut self, why: String) {
        *self.left_out.entry(why).or_default() += 1;
    }

    /// Adds the counts of another file.
    pub fn add(&mut self, other: &Tally) {
        self.passed += other.passed;
        self.by_text += other.by_text;
        self.failed += other.failed;
        for (reason, count) in &other.left_out {
            *self.left_out.entry(reason.clone()).or_default() += count;
        }
    }
}
