//! Figures, what was asked for, and whether it was met.

use comfy_table::Table;

use crate::measure::titled;

/// The bound that a figure is to keep.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    /// As much, or more.
    AtLeast(f64),
    /// As much, or less.
    AtMost(f64),
}

/// A table of figures with their bounds.
pub struct Verdicts(Table);

impl Verdicts {
    /// Creates an empty table.
    pub fn new() -> Verdicts {
        Verdicts(titled(&["", "found", "asked for", ""]))
    }

    /// Adds a figure, with as many decimals.
    pub fn add(&mut self, what: &str, found: f64, decimals: usize, bound: Bound) {
        let (word, asked, is_met) = match bound {
            Bound::AtLeast(asked) => ("at least", asked, found >= asked),
            Bound::AtMost(asked) => ("at most", asked, found <= asked),
        };
        let verdict = if is_met { "met" } else { "missed" };
        self.0.add_row([what, &format!("{found:.decimals$}"), &format!("{word} {asked}"), verdict]);
    }

    /// Adds a figure of which nothing was asked.
    pub fn note(&mut self, what: &str, found: f64, decimals: usize) {
        self.0.add_row([what, &format!("{found:.decimals$}"), "", ""]);
    }
}

impl std::fmt::Display for Verdicts {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(out)
    }
}

/// Returns the geometric mean, which is that of ratios.
pub fn mean(ratios: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = ratios.into_iter().fold((0.0, 0), |(sum, count), ratio| (sum + ratio.ln(), count + 1));
    (sum / f64::from(count.max(1))).exp()
}

/// Returns the least.
pub fn least(ratios: impl IntoIterator<Item = f64>) -> f64 {
    ratios.into_iter().fold(f64::INFINITY, f64::min)
}
