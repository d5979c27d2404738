//! Comparisons of two modules or functions on the same inputs.
//!
//! They give their cost, and whether they agree. A gate decides whether one may replace the other.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

pub use conditions::{Conditions, MAX_CONDITIONS};

mod conditions;

/// The conditions under which a module may replace another one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate<'payload> {
    /// The conditions, all of which must hold.
    pub conditions: Conditions,
    /// The number of measurements of each module.
    pub over: u32,
    /// The input of both modules; by default the last input of the old module.
    #[serde(borrow)]
    pub input: Option<&'payload [u8]>,
}

/// A condition.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Condition {
    /// A figure of the new module is at most a multiple of the old one's.
    AtMost {
        /// The figure.
        figure: Figure,
        /// The maximum ratio of new to old.
        ratio: f64,
    },
    /// The results and outputs are the same.
    OutputsEqual,
}

/// A figure of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Figure {
    /// The minimum.
    Min,
    /// The median.
    P50,
    /// The mean.
    Mean,
    /// The value that 99 of 100 measurements do not exceed.
    P99,
    /// The maximum.
    Max,
}

impl Figure {
    /// All figures, in ascending order.
    pub const ALL: [Figure; 5] = [Figure::Min, Figure::P50, Figure::Mean, Figure::P99, Figure::Max];

    /// Returns the name in conditions and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Figure::Min => "min",
            Figure::P50 => "p50",
            Figure::Mean => "mean",
            Figure::P99 => "p99",
            Figure::Max => "max",
        }
    }
}

impl Condition {
    /// Parses conditions such as `p99<=1.05,outputs-equal`.
    ///
    /// # Errors
    /// A text that says what was found and what was expected.
    pub fn parse_all(text: &str) -> Result<Conditions, String> {
        let mut conditions = Conditions::default();
        text.split(',')
            .try_for_each(|word| Condition::parse(word.trim()).map(|condition| conditions.push(condition)))?;
        match conditions.excess() {
            0 => Ok(conditions),
            _ => Err(alloc::format!("{} conditions, expected at most {MAX_CONDITIONS}", conditions.asked())),
        }
    }

    fn parse(word: &str) -> Result<Condition, String> {
        let expected = || {
            alloc::format!(
                "\"{word}\", expected outputs-equal, or min, p50, mean, p99 or max and the most that the ratio of \
                 new to old may be, such as p99<=1.05"
            )
        };
        if word == "outputs-equal" {
            return Ok(Condition::OutputsEqual);
        }
        let (name, ratio) = word.split_once("<=").ok_or_else(expected)?;
        let figure = Figure::ALL.into_iter().find(|figure| figure.name() == name.trim()).ok_or_else(expected)?;
        let ratio = ratio.trim().parse().ok().filter(|ratio: &f64| ratio.is_finite() && *ratio > 0.0);
        Ok(Condition::AtMost { figure, ratio: ratio.ok_or_else(expected)? })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::AtMost { figure, ratio } => write!(out, "{}<={ratio}", figure.name()),
            Condition::OutputsEqual => out.write_str("outputs-equal"),
        }
    }
}

/// The result of a comparison on the same inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The old or first one, and the new or second one.
    pub sides: [Arm; 2],
    /// The second one's figures divided by the first one's, in the order of [`Figure::ALL`].
    ///
    /// `None` where the first one's is 0.
    pub ratios: Vec<Option<f64>>,
    /// Whether results and outputs were the same every time.
    pub outputs_equal: bool,
    /// The first difference, as text.
    pub difference: Option<String>,
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// The module's name, or `module.function`.
    pub name: String,
    /// The module's version.
    pub version: String,
    /// The module's generation.
    pub generation: u32,
    /// The number of calls in one measurement: more than one if a single call is below the clock's resolution.
    pub batch: u32,
    /// The number of measurements.
    pub measurements: u32,
    /// The cycles of one call, less the cost of measuring, in the order of [`Figure::ALL`].
    pub cycles: [f64; 5],
    /// The histogram of the measurements. Its classes range from the minimum to the maximum of both.
    pub histogram: Vec<Class>,
    /// The fault that ended its calls, if any.
    pub fault: Option<String>,
}

/// A class of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Class {
    /// The lower bound, in cycles, included.
    pub from: f64,
    /// The upper bound, in cycles, excluded.
    pub below: f64,
    /// The number of measurements in the class.
    pub count: u32,
}

/// The result of a gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether every condition held.
    pub passed: bool,
    /// The conditions with their results.
    pub conditions: Vec<Judged>,
    /// The comparison that they were evaluated on.
    pub comparison: Comparison,
}

/// An evaluated condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The condition, as it was requested.
    pub condition: String,
    /// Whether it held.
    pub held: bool,
    /// The figures that were found, for people: "p99 1.31 times the old one's, 0.26 above 1.05".
    pub found: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn reads_conditions() {
        let conditions = Condition::parse_all("p99<=1.05, outputs-equal").unwrap();
        let text: Vec<_> = conditions.as_slice().iter().map(ToString::to_string).collect();
        assert_eq!(text, ["p99<=1.05", "outputs-equal"]);
    }

    #[test]
    fn rejects_more_conditions_than_a_gate_has_room_for() {
        let text = ["outputs-equal"; MAX_CONDITIONS + 1].join(",");
        assert_eq!(Condition::parse_all(&text).unwrap_err(), "17 conditions, expected at most 16");
    }

    #[test]
    fn rejects_other_words() {
        for text in ["", "p98<=1", "p99<1", "p99<=", "p99<=-1", "p99<=inf", "outputs", "p50<=1,,p99<=1"] {
            assert!(Condition::parse_all(text).unwrap_err().contains("expected outputs-equal"), "{text}");
        }
    }
}
