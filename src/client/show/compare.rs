//! Comparison of two modules as text.

use bareflow_protocol::comparison::{self, Arm, Comparison, Verdict};

use bareflow_suite::figures::{Hundredths, OrDash};

use super::aligned;

/// The width of the longest bar, in columns.
const BAR_WIDTH: u32 = 24;

/// Formats a gate's verdict: each condition, and the comparison behind it.
#[must_use]
pub fn verdict(verdict: &Verdict) -> String {
    let mut lines = vec![format!("gate {}", if verdict.passed { "passed" } else { "failed" })];
    for judged in &verdict.conditions {
        let mark = if judged.held { "held  " } else { "failed" };
        lines.push(format!("  {mark}  {}: {}", judged.condition, judged.found));
    }
    lines.push(String::new());
    lines.push(text(&verdict.comparison));
    lines.join("\n")
}

/// Formats both distributions, and whether the two agree.
#[must_use]
pub fn text(comparison: &Comparison) -> String {
    let [first, second] = &comparison.sides;
    let title = |side: &Arm| format!("{} {} (load {})", side.name, side.version, side.generation);
    let titles = [title(first), title(second)];
    let mut rows = Vec::new();
    for (index, figure) in comparison::Figure::ALL.into_iter().enumerate() {
        let cycles = |side: &Arm| OrDash(side.cycles.get(index).copied().map(Hundredths)).to_string();
        let ratio = comparison.ratios.get(index).copied().flatten().map(|ratio| format!("{ratio:.3}"));
        rows.push(vec![figure.name().to_owned(), cycles(first), cycles(second), OrDash(ratio).to_string()]);
    }
    let row = |name: &str, of: fn(&Arm) -> u32| {
        vec![name.to_owned(), of(first).to_string(), of(second).to_string(), String::new()]
    };
    rows.push(row("measurements", |side| side.measurements));
    rows.push(row("calls in each", |side| side.batch));
    let mut text = aligned(&["CYCLES", &titles[0], &titles[1], "RATIO"], &[1, 2, 3], rows);
    for (side, title) in [first, second].into_iter().zip(&titles) {
        text += &histogram(side, title);
        if let Some(fault) = &side.fault {
            text += &format!("\n\n{title} ended in a fault: {fault}");
        }
    }
    text += match comparison.outputs_equal {
        true => "\n\nresults and outputs are equal",
        false => "\n\nresults or outputs differ",
    };
    if let Some(difference) = &comparison.difference {
        text += &format!("; the first difference: {difference}");
    }
    text
}

/// Formats the histogram of one side as bars.
fn histogram(side: &Arm, title: &str) -> String {
    let Some(most) = side.histogram.iter().map(|class| class.count).max().filter(|&most| most > 0) else {
        return String::new();
    };
    let rows = side.histogram.iter().map(|class| {
        let columns = (u64::from(class.count) * u64::from(BAR_WIDTH)).div_ceil(u64::from(most));
        let bar = "#".repeat(usize::try_from(columns).unwrap_or_default());
        vec![format!("{:.0}", class.from), format!("{:.0}", class.below), class.count.to_string(), bar]
    });
    format!("\n\n{title}\n{}", aligned(&["FROM", "BELOW", "COUNT", ""], &[0, 1, 2], rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bareflow_protocol::comparison::{Class, Judged};

    fn side(version: &str, generation: u32, counts: [u32; 2]) -> Arm {
        let class = |from, below, count| Class { from, below, count };
        Arm {
            name: "sum".into(),
            version: version.into(),
            generation,
            batch: 64,
            measurements: 1000,
            cycles: [10.0, 10.5, 11.25, 20.0, 40.0],
            histogram: vec![class(10.0, 20.0, counts[0]), class(20.0, 40.0, counts[1])],
            fault: None,
        }
    }

    #[test]
    fn shows_both_sides_and_the_verdict() {
        let comparison = Comparison {
            sides: [side("1.0.0", 1, [990, 10]), side("1.1.0", 2, [500, 500])],
            ratios: vec![Some(1.0), Some(1.0), None, Some(1.31), Some(1.0)],
            outputs_equal: false,
            difference: Some("call 3 returned 5 instead of 4".into()),
        };
        let judged =
            Judged { condition: "p99<=1.05".into(), held: false, found: "p99 1.31 times the old one's".into() };
        let shown = verdict(&Verdict { passed: false, conditions: vec![judged], comparison });
        let expected = "\
gate failed
  failed  p99<=1.05: p99 1.31 times the old one's

CYCLES         sum 1.0.0 (load 1)  sum 1.1.0 (load 2)  RATIO
min                            10                  10  1.000
p50                         10.50               10.50  1.000
mean                        11.25               11.25      -
p99                            20                  20  1.310
max                            40                  40  1.000
measurements                 1000                1000
calls in each                  64                  64

sum 1.0.0 (load 1)
FROM  BELOW  COUNT
  10     20    990  ########################
  20     40     10  #

sum 1.1.0 (load 2)
FROM  BELOW  COUNT
  10     20    500  ########################
  20     40    500  ########################

results or outputs differ; the first difference: call 3 returned 5 instead of 4";
        assert_eq!(shown, expected);
    }
}
