//! The outcomes of examples, as text and as JSON.

use bareflow_builder::Example;
use serde::Serialize;
use serde_json::{Value, json};

use super::ExampleOutcome;
use super::summary::{self, TestRun};
use crate::interfaces::signature::Signature;
use crate::say;

/// The version of the JSON form.
const SCHEMA: u32 = 1;

/// The number of bytes of an output that a message shows.
const SHOWN: usize = 16;

/// The outcome of one module's examples.
#[derive(Debug, Serialize)]
pub(super) struct Tested {
    pub name: String,
    pub version: String,
    /// The number of examples.
    pub examples: usize,
    pub trials: Vec<TestRun>,
    /// The error that kept the blob from being built, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Tested {
    /// Whether all examples passed.
    pub(super) fn passed(&self) -> bool {
        self.error.is_none() && self.trials.iter().all(|trial| trial.failures.is_empty())
    }

    /// Shows the outcome: a line for each runner and domain, and one for each failure.
    pub(super) fn show(&self) {
        let Tested { name, version, examples, .. } = self;
        match examples {
            0 => say!("{name} {version}: no examples"),
            1 => say!("{name} {version}: 1 example"),
            _ => say!("{name} {version}: {examples} examples"),
        }
        for TestRun { place, domain, failures, instructions } in &self.trials {
            let said = if failures.is_empty() { "passed" } else { "FAILED" };
            let count = instructions.map(|count| format!("  {count} instructions")).unwrap_or_default();
            say!("  {place:<6}  {domain:<6} domain  {said}{count}");
        }
        for failure in summary::once(&self.trials) {
            crate::complain!("error: {name} {version}, {failure}");
        }
    }
}

/// Returns all outcomes as JSON.
pub(super) fn document(tested: &[Tested], passed: bool) -> Value {
    json!({ "schema": SCHEMA, "modules": tested, "passed": passed })
}

/// Returns the difference between a call's outcome and the expected one, if there is any.
pub(super) fn difference(example: &Example, result: i32, output: &[u8]) -> Option<String> {
    if let Some(expected) = example.result.filter(|&expected| expected != result) {
        return Some(format!("returned {result}, expected {expected}"));
    }
    let expected = example.output.as_deref().filter(|&expected| expected != output)?;
    let place = expected.iter().zip(output).take_while(|(one, other)| one == other).count();
    let (found, wanted) = (part(output, place), part(expected, place));
    let lengths = (output.len(), expected.len());
    Some(format!("wrote {} bytes, expected {}; from byte {place} on {found}, expected {wanted}", lengths.0, lengths.1))
}

/// Returns the difference between a method's answer and the expected one, if there is any.
pub(super) fn other_answer(
    example: &Example,
    method: &Signature,
    input: &[u8],
    done: &ExampleOutcome,
) -> Option<String> {
    let answer = match method.answer(input, done.result, &done.output) {
        Ok(answer) => answer,
        Err(error) => return Some(format!("{error:#}")),
    };
    let expected = example.answer.as_ref()?;
    // What is not given is not checked, but an error has to be expected.
    // TOML has no `null`, which is what `()` is in JSON.
    let is_unit = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    let is_met = expected.iter().all(|(key, value)| {
        answer.json.get(key).is_some_and(|found| found == value || (found.is_null() && is_unit(value)))
    });
    let is_expected = answer.is_ok != expected.contains_key("error");
    (!is_met || !is_expected).then(|| format!("answered {}, expected {}", answer.json, Value::Object(expected.clone())))
}

/// Formats some bytes from `place` on, as text if they are printable.
fn part(bytes: &[u8], place: usize) -> String {
    let rest = bytes.get(place..).unwrap_or_default();
    let shown = rest.get(..SHOWN).unwrap_or(rest);
    let more = if rest.len() > shown.len() { " .." } else { "" };
    if shown.is_empty() {
        return "nothing".to_owned();
    }
    if shown.iter().all(|byte| byte.is_ascii_graphic() || b" \n\r\t".contains(byte)) {
        let text: String = String::from_utf8_lossy(shown).chars().map(in_quotes).collect();
        return format!("\"{text}\"{more}");
    }
    let digits: Vec<_> = shown.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}{more}", digits.join(" "))
}

/// Formats a character for quoted text, with control characters escaped.
fn in_quotes(character: char) -> String {
    if character.is_ascii_control() { character.escape_default().to_string() } else { character.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interfaces::types::Types;

    #[test]
    fn compares_an_answer_as_far_as_it_is_given() {
        let method = Signature::read("fn size(&self) -> Result<u64, CallError>", &Types::default()).unwrap();
        let output = 7_u64.to_le_bytes().to_vec();
        let done = |result| ExampleOutcome { result, output: output.clone(), instructions: None };
        let difference = |expected: Value, result| {
            let example = Example { answer: expected.as_object().cloned(), ..Example::default() };
            other_answer(&example, &method, b"", &done(result))
        };
        for (expected, result) in [(json!({}), 0), (json!({ "ok": 7 }), 0), (json!({ "error": "Busy" }), 0x102)] {
            assert_eq!(difference(expected, result), None);
        }
        for (expected, result, said) in [
            (json!({ "ok": 8 }), 0, "answered {\"ok\":7}, expected {\"ok\":8}"),
            (json!({ "error": "Busy" }), 0, "answered {\"ok\":7}, expected {\"error\":\"Busy\"}"),
            (json!({}), 0x102, "answered {\"error\":\"Busy\"}, expected {}"),
        ] {
            assert_eq!(difference(expected, result).unwrap(), said);
        }
    }

    #[test]
    fn names_the_first_difference() {
        let example = Example { output: Some(b"hello".to_vec()), result: Some(5), ..Example::default() };
        assert_eq!(difference(&example, 5, b"hello"), None);
        assert_eq!(difference(&example, 4, b"hello").unwrap(), "returned 4, expected 5");
        let said = difference(&example, 5, b"help").unwrap();
        assert_eq!(said, "wrote 4 bytes, expected 5; from byte 3 on \"p\", expected \"lo\"");
        let said = difference(&example, 5, &[0; 40]).unwrap();
        assert!(said.starts_with("wrote 40 bytes, expected 5; from byte 0 on 00 00 00"), "{said}");
        let lines = Example { output: Some(b"one\n\t\"two\"\n".to_vec()), ..Example::default() };
        let said = difference(&lines, 0, b"one\r\n").unwrap();
        assert!(said.ends_with(r#"from byte 3 on "\r\n", expected "\n\t"two"\n""#), "{said}");
        assert!(difference(&example, 5, b"hell").unwrap().contains("from byte 4 on nothing, expected \"o\""));
    }
}
