//! The evaluation of measurements: figures, histograms and verdicts.

use alloc::vec::Vec;
use core::fmt;

use bareflow_loader::ab_test::Distribution;
use bareflow_protocol::comparison::{Arm, Class, Comparison, Condition, Figure, Judged};
use bareflow_suite::fallible::{NoMemory, collect};
use bareflow_suite::text;

/// The number of classes in a histogram.
const CLASSES: usize = 12;

/// The number of hundredths of a cycle in a cycle.
const CENTICYCLES_PER_CYCLE: f64 = 100.0;

/// Returns the figures of a distribution, in the order of [`Figure::ALL`].
pub(super) fn figures(measured: &Distribution<'_>) -> [f64; 5] {
    Figure::ALL.map(|figure| match figure {
        Figure::Min => measured.percentile(0),
        Figure::P50 => measured.percentile(50),
        Figure::Mean => measured.mean(),
        Figure::P99 => measured.percentile(99),
        Figure::Max => measured.percentile(100),
    })
}

/// Returns the second module's figures divided by the first one's.
pub(super) fn ratios(sides: &[Arm; 2]) -> Result<Vec<Option<f64>>, NoMemory> {
    let [first, second] = sides;
    let pairs = first.cycles.iter().zip(&second.cycles);
    collect(pairs.map(|(first, second)| Ok((*first > 0.0).then(|| second / first))))
}

/// Returns the lower bounds of classes that cover 99 of 100 measurements of both modules; the last class has the rest.
pub(super) fn classes(measured: &[Distribution<'_>; 2]) -> [f64; CLASSES] {
    let least = measured.iter().map(|arm| arm.percentile(0)).fold(f64::INFINITY, f64::min);
    let most = measured.iter().map(|arm| arm.percentile(99)).fold(0.0, f64::max);
    let width = ((most - least) / (CLASSES - 1) as f64).max(1.0 / CENTICYCLES_PER_CYCLE);
    core::array::from_fn(|class| least + width * class as f64)
}

/// Counts the measurements in each class.
pub(super) fn histogram(measured: &Distribution<'_>, borders: &[f64]) -> Result<Vec<Class>, NoMemory> {
    let greatest = measured.percentile(100);
    let below = borders.iter().skip(1).copied().chain([f64::INFINITY]);
    // The measurements are in ascending order.
    let less = |border: f64| {
        measured.centicycles.partition_point(|&centicycles| (centicycles as f64 / CENTICYCLES_PER_CYCLE) < border)
    };
    let class = |(from, below): (f64, f64)| {
        let count = less(below).saturating_sub(less(from));
        // JSON has no infinity.
        let below = if below.is_finite() { below } else { greatest.max(from) };
        Class { from, below, count: count as u32 }
    };
    collect(borders.iter().copied().zip(below).map(|borders| Ok(class(borders))))
}

/// Evaluates each condition. Differences below the clock's resolution don't count.
pub(super) fn evaluate(
    conditions: &[Condition],
    comparison: &Comparison,
    measured: [Distribution<'_>; 2],
) -> Result<Vec<Judged>, NoMemory> {
    let resolution =
        measured.iter().map(|arm| arm.resolution_centicycles).max().unwrap_or(0) as f64 / CENTICYCLES_PER_CYCLE;
    collect(conditions.iter().map(|condition| evaluate_one(condition, comparison, resolution)))
}

fn evaluate_one(condition: &Condition, comparison: &Comparison, resolution: f64) -> Result<Judged, NoMemory> {
    let (held, found) = match *condition {
        Condition::OutputsEqual => match &comparison.difference {
            None => (comparison.outputs_equal, text!("results and outputs are the same")?),
            Some(difference) => (false, text!("{difference}")?),
        },
        Condition::AtMost { figure, ratio } => {
            let [old, new] = [0, 1].map(|arm: usize| {
                let index = Figure::ALL.iter().position(|other| *other == figure).unwrap_or(0);
                comparison.sides.get(arm).and_then(|arm| arm.cycles.get(index)).copied().unwrap_or(0.0)
            });
            let limit = old.max(resolution) * ratio;
            let held = new <= limit;
            let name = figure.name();
            let times = Times((old > 0.0).then(|| new / old));
            let found = if held {
                text!("{name} {old:.2} -> {new:.2} cycles{times}")?
            } else {
                let excess = new - limit;
                text!("{name} {old:.2} -> {new:.2} cycles{times}; {excess:.2} cycles above the {limit:.2} allowed")?
            };
            (held, found)
        }
    };
    Ok(Judged { condition: text!("{condition}")?, held, found })
}

/// A ratio as text; empty if there is none.
struct Times(Option<f64>);

impl fmt::Display for Times {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |times| write!(out, ", {times:.2} times"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_measurement_is_in_one_class() {
        let centicycles = [100, 100, 150, 200, 399, 400, 100_000];
        let measured = Distribution { batch: 1, centicycles: &centicycles, resolution_centicycles: 1 };
        let classes = histogram(&measured, &[1.0, 2.0, 4.0]).unwrap();
        let found: Vec<_> = classes.iter().map(|class| (class.from, class.below, class.count)).collect();
        assert_eq!(found, [(1.0, 2.0, 3), (2.0, 4.0, 2), (4.0, 1000.0, 2)]);
    }
}
