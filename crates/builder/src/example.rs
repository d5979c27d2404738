//! Examples in a module's `Cargo.toml`: single calls, with their inputs and expected outcomes.
//!
//! ```toml
//! [[package.metadata.bareflow.example]]
//! input = "abc"                           # a text
//! output = { hex = "ba78 16bf" }          # or bytes, with blanks wherever one likes
//! result = 4
//!
//! [[package.metadata.bareflow.example]]
//! input = { text = "a", length = 1000 }   # a thousand of them
//! output = { file = "examples/a.txt" }    # beside Cargo.toml
//!
//! [[package.metadata.bareflow.example]]
//! function = "packet_handler"             # a function, with input, output and result
//! result = 0
//!
//! [[package.metadata.bareflow.example]]
//! function = "files.read"                 # a method, with the JSON of `bareflow call`
//! arguments = ["a.txt", 0, [0, 0]]
//! answer = { ok = 2, outputs = { into = [104, 105] } }
//! ```

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The longest input or output, in bytes: as much as the channel to a kernel takes at once.
pub const MAX_EXAMPLE: usize = 1 << 20;

/// One example, as written in `Cargo.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExampleSettings {
    /// The input: a text, or a table with `text`, `hex` or `file`; empty if missing.
    pub input: Option<Value>,
    /// The expected output, in the same forms; not checked if missing.
    pub output: Option<Value>,
    /// The expected result; not checked if missing.
    pub result: Option<i32>,
    /// The function or method that is called; `run` if missing.
    pub function: Option<String>,
    /// The arguments of a method; none if missing.
    #[serde(default)]
    pub arguments: Vec<Value>,
    /// The expected answer of a method: a table with `ok`, `outputs` or both, or with `error`.
    pub answer: Option<Map<String, Value>>,
}

/// A call, and its expected outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Example {
    /// The input.
    pub input: Vec<u8>,
    /// The expected output, if it is checked.
    pub output: Option<Vec<u8>>,
    /// The expected result, if it is checked.
    pub result: Option<i32>,
    /// The function or method that is called, if it is not `run`.
    pub function: Option<String>,
    /// The arguments of a method.
    pub arguments: Vec<Value>,
    /// The expected answer of a method, if it is checked.
    pub answer: Option<Map<String, Value>>,
}

impl ExampleSettings {
    /// Reads the example. Paths are relative to `folder`.
    ///
    /// # Errors
    /// A text that says what can't be understood or read.
    pub fn read(&self, folder: &Path) -> Result<Example, String> {
        if self.output.is_none() && self.result.is_none() && self.answer.is_none() {
            return Err(
                "checks nothing, expected `output` or `result` of a function, or `answer` of a method".to_owned()
            );
        }
        let is_method = self.answer.is_some() || !self.arguments.is_empty();
        if is_method && self.function.is_none() {
            return Err("has arguments or an answer, expected `function` as well: the method that is called".to_owned());
        }
        if is_method && (self.input.is_some() || self.output.is_some() || self.result.is_some()) {
            let expected =
                "expected either input, output and result of a function, or arguments and answer of a method";
            return Err(format!("mixes both kinds of calls, {expected}"));
        }
        let part = |key, value: &Option<Value>| {
            let read = |value| bytes(value, folder).map_err(|why| format!("{key}: {why}"));
            value.as_ref().map(read).transpose()
        };
        let input = part("input", &self.input)?.unwrap_or_default();
        let output = part("output", &self.output)?;
        let (function, arguments, answer) = (self.function.clone(), self.arguments.clone(), self.answer.clone());
        Ok(Example { input, output, result: self.result, function, arguments, answer })
    }
}

/// Returns the bytes that `value` denotes.
fn bytes(value: &Value, folder: &Path) -> Result<Vec<u8>, String> {
    let table = match value {
        Value::String(text) => return Ok(text.clone().into_bytes()),
        Value::Object(table) => table,
        other => return Err(format!("{other}, expected a text or a table with one of text, hex and file")),
    };
    let mut sources = table.iter().filter(|(key, _)| *key != "length");
    let (Some((key, source)), None) = (sources.next(), sources.next()) else {
        return Err(format!("{value}, expected one of text, hex and file"));
    };
    let source = source.as_str().ok_or_else(|| format!("{key} = {source}, expected a text"))?;
    let found = match key.as_str() {
        "text" => source.as_bytes().to_vec(),
        "hex" => hex(source)?,
        "file" => std::fs::read(folder.join(source))
            .map_err(|error| format!("can't read {source}: {error}; it is looked for in {}", folder.display()))?,
        other => return Err(format!("unknown key \"{other}\", expected text, hex or file, and length")),
    };
    let found = repeated(found, table)?;
    let length = found.len();
    if length > MAX_EXAMPLE { Err(format!("{length} bytes, expected at most {MAX_EXAMPLE}")) } else { Ok(found) }
}

/// Repeats `found` up to the length that the table gives, if it gives one.
fn repeated(found: Vec<u8>, table: &Map<String, Value>) -> Result<Vec<u8>, String> {
    let Some(length) = table.get("length") else { return Ok(found) };
    let wanted = length.as_u64().and_then(|length| usize::try_from(length).ok());
    let wanted = wanted.filter(|&length| length <= MAX_EXAMPLE && (length == 0 || !found.is_empty()));
    let wanted = wanted
        .ok_or_else(|| format!("length = {length}, expected a number up to {MAX_EXAMPLE}, and bytes to repeat"))?;
    Ok(found.into_iter().cycle().take(wanted).collect())
}

/// Returns the bytes that hexadecimal digits denote.
fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digit = |character: char| {
        character.to_digit(16).ok_or_else(|| format!("hex: '{character}', expected 0-9, a-f and blanks"))
    };
    let digits =
        text.chars().filter(|character| !character.is_whitespace()).map(digit).collect::<Result<Vec<_>, _>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(format!("hex: {} digits, expected two for each byte", digits.len()));
    }
    // A digit is at most 15.
    Ok(pairs.iter().map(|&[high, low]| (high * 16 + low) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<Vec<u8>, String> {
        bytes(&value, Path::new(env!("CARGO_MANIFEST_DIR")))
    }

    #[test]
    fn reads_every_form() {
        assert_eq!(read(json!("abc")).unwrap(), b"abc");
        assert_eq!(read(json!({ "hex": "00 fF\n7f" })).unwrap(), [0, 255, 127]);
        assert_eq!(read(json!({ "text": "ab", "length": 5 })).unwrap(), b"ababa");
        assert_eq!(read(json!({ "text": "", "length": 0 })).unwrap(), b"");
        assert!(read(json!({ "file": "Cargo.toml" })).unwrap().starts_with(b"[package]"));
    }

    #[test]
    fn rejects_examples_that_mix_functions_and_methods() {
        let why = |value| ExampleSettings::deserialize(value).unwrap().read(Path::new("")).unwrap_err();
        assert!(why(json!({ "function": "read" })).contains("checks nothing"));
        assert!(why(json!({ "answer": { "ok": 1 } })).contains("expected `function` as well"));
        assert!(
            why(json!({ "function": "read", "arguments": [1], "result": 0 })).contains("mixes both kinds of calls")
        );
        let method = json!({ "function": "read", "arguments": [1], "answer": { "ok": 1 } });
        assert_eq!(ExampleSettings::deserialize(method).unwrap().read(Path::new("")).unwrap().arguments, [json!(1)]);
    }

    #[test]
    fn rejects_what_spells_no_bytes() {
        let why = |value| read(value).unwrap_err();
        assert!(why(json!(5)).contains("5, expected a text or a table"));
        assert!(why(json!({ "text": "a", "hex": "00" })).contains("expected one of text, hex and file"));
        assert!(why(json!({ "hex": "0x" })).contains("'x', expected 0-9"));
        assert!(why(json!({ "hex": "000" })).contains("3 digits, expected two"));
        assert!(why(json!({ "bytes": "00" })).contains("unknown key \"bytes\""));
        assert!(why(json!({ "text": "", "length": 1 })).contains("bytes to repeat"));
        assert!(why(json!({ "text": "a", "length": 9_999_999 })).contains("up to 1048576"));
        assert!(why(json!({ "file": "none" })).contains("can't read none: "));
    }

    #[test]
    fn rejects_an_example_that_checks_nothing() {
        let nothing = ExampleSettings { input: Some(json!("abc")), ..ExampleSettings::default() };
        assert!(nothing.read(Path::new(".")).unwrap_err().starts_with("checks nothing"));
    }
}
