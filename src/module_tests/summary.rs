//! The runs of examples, and a summary of their failures in which each text appears once.

use serde::Serialize;

/// The outcome of the examples in one runner and domain.
#[derive(Debug, Serialize)]
pub(super) struct TestRun {
    /// `host` or `kernel`.
    #[serde(rename = "where")]
    pub place: &'static str,
    /// `kernel` or `user`.
    pub domain: &'static str,
    /// The instructions of all calls, with the cost of measuring; `None` where they are not counted.
    pub instructions: Option<u64>,
    /// The failures, with the numbers of their examples.
    pub failures: Vec<String>,
}

impl TestRun {
    pub(super) fn new(place: &'static str, domain: &'static str) -> TestRun {
        TestRun { place, domain, instructions: None, failures: Vec::new() }
    }

    /// Adds the instructions of a call.
    pub(super) fn count(&mut self, instructions: Option<u64>) {
        self.instructions = instructions.map(|count| count + self.instructions.unwrap_or(0));
    }
}

/// Runs, and the numbers of the examples that failed in them.
type Places<'trial> = Vec<(&'trial TestRun, Vec<&'trial str>)>;

/// Returns the failures of all runs in their order; runs and examples that failed with the same text share a line.
///
/// A fault reads the same wherever it happens.
pub(super) fn once(trials: &[TestRun]) -> Vec<String> {
    let mut told: Vec<(&str, Places<'_>)> = Vec::new();
    for trial in trials {
        for failure in &trial.failures {
            let (example, text) = failure
                .strip_prefix("example ")
                .and_then(|rest| rest.split_once(": "))
                .map_or((None, failure.as_str()), |(number, text)| (Some(number), text));
            let known = told.iter().position(|(of, _)| *of == text).unwrap_or_else(|| {
                told.push((text, Vec::new()));
                told.len() - 1
            });
            let Some((_, places)) = told.get_mut(known) else { continue };
            match places.last_mut().filter(|(of, _)| std::ptr::eq(*of, trial)) {
                Some((_, examples)) => examples.extend(example),
                None => places.push((trial, example.into_iter().collect())),
            }
        }
    }
    told.iter().flat_map(|(text, places)| by_examples(text, places)).collect()
}

/// Returns a line for each set of examples that failed with `text`.
fn by_examples(text: &str, places: &Places<'_>) -> Vec<String> {
    let mut lines: Vec<(&[&str], Vec<String>)> = Vec::new();
    for (trial, examples) in places {
        let place = format!("{}, {} domain", trial.place, trial.domain);
        match lines.iter_mut().find(|(of, _)| of == examples) {
            Some((_, there)) => there.push(place),
            None => lines.push((examples, vec![place])),
        }
    }
    let line = |(examples, there): (&[&str], Vec<String>)| {
        let which = match examples {
            [] => String::new(),
            [one] => format!("example {one}: "),
            several => format!("examples {}: ", several.join(", ")),
        };
        format!("{}: {which}{text}", there.join("; "))
    };
    lines.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_once_what_is_true_of_many_examples_and_places() {
        let trial = |place, failures: &[&str]| TestRun {
            failures: failures.iter().map(|&failure| failure.to_owned()).collect(),
            ..TestRun::new(place, "user")
        };
        let faulted = ["example 1: faulted: divide", "example 2: faulted: divide"];
        let trials = [trial("host", &faulted), trial("kernel", &faulted)];
        let all = "host, user domain; kernel, user domain: examples 1, 2: faulted: divide";
        assert_eq!(once(&trials), [all]);
        let trials = [trial("host", &faulted[..1]), trial("kernel", &["example 1: wrote nothing", "refused: torn"])];
        let expected = [
            "host, user domain: example 1: faulted: divide",
            "kernel, user domain: example 1: wrote nothing",
            "kernel, user domain: refused: torn",
        ];
        assert_eq!(once(&trials), expected);
        // Lines that differ by place are kept apart.
        let trials = [trial("host", &faulted), trial("kernel", &faulted[1..])];
        let expected =
            ["host, user domain: examples 1, 2: faulted: divide", "kernel, user domain: example 2: faulted: divide"];
        assert_eq!(once(&trials), expected);
    }
}
