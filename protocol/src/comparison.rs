//! Two modules side by side: what they cost on the same inputs, whether they
//! agree, and whether one may take the other's place.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

pub use conditions::{Conditions, MAX_CONDITIONS};

mod conditions;

/// What a module has to prove before it takes another one's place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate<'payload> {
    /// All of these have to hold.
    pub conditions: Conditions,
    /// How many measurements are taken of each of the two.
    pub over: u32,
    /// What both are given; what the module was called with last, when nothing is said.
    #[serde(borrow)]
    pub input: Option<&'payload [u8]>,
}

/// One condition.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Condition {
    /// A figure of the new one is at most so many times the old one's.
    AtMost {
        /// Which figure.
        figure: Figure,
        /// The most that the ratio may be.
        ratio: f64,
    },
    /// Results and outputs are the same.
    OutputsEqual,
}

/// A figure of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Figure {
    /// The least.
    Min,
    /// The median.
    P50,
    /// The mean.
    Mean,
    /// What 99 of 100 do not exceed.
    P99,
    /// The most.
    Max,
}

impl Figure {
    /// All, in rising order.
    pub const ALL: [Figure; 5] = [Figure::Min, Figure::P50, Figure::Mean, Figure::P99, Figure::Max];

    /// Its name in conditions and reports.
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
    /// Reads conditions such as `p99<=1.05,outputs-equal`.
    ///
    /// # Errors
    /// What was found and what was expected.
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

/// Two modules on the same inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The old or first one, and the new or second one.
    pub sides: [Arm; 2],
    /// The second one's figures over the first one's, in the order of [`Figure::ALL`]; nothing where a figure of
    /// the first one is 0.
    pub ratios: Vec<Option<f64>>,
    /// Whether results and outputs were the same every time.
    pub outputs_equal: bool,
    /// What the first difference was.
    pub difference: Option<String>,
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its generation.
    pub generation: u32,
    /// Calls in one measurement: more than one where a single call is below the clock's resolution.
    pub batch: u32,
    /// Measurements.
    pub measurements: u32,
    /// Cycles of one call, less the cost of measuring, in the order of [`Figure::ALL`].
    pub cycles: [f64; 5],
    /// How many measurements there were in each class of costs, from the least of both sides to the greatest.
    pub histogram: Vec<Class>,
    /// Its fault, if it ended in one.
    pub fault: Option<String>,
}

/// A class of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Class {
    /// Its calls took at least so many cycles.
    pub from: f64,
    /// And less than so many.
    pub below: f64,
    /// How many measurements fell into it.
    pub count: u32,
}

/// What came of a gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether every condition held.
    pub passed: bool,
    /// Each condition.
    pub conditions: Vec<Judged>,
    /// What they were judged by.
    pub comparison: Comparison,
}

/// A condition that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The condition, as it was asked for.
    pub condition: String,
    /// Whether it held.
    pub held: bool,
    /// What was found, for people: "p99 1.31 times the old one's, 0.26 above 1.05".
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
