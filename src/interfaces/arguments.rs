//! Arguments in JSON, packed for a call.

use anyhow::{Context, Result, bail, ensure};
use bareflow_abi::interface::{ArgumentKind, Layout, PIECE_ALIGNMENT, Side};
use bareflow_protocol::control::MAX_REQUEST;
use bareflow_suite::OUTPUT_CAPACITY;
use serde_json::{Map, Value};

use super::signature::{Argument, Signature};
use super::types::Type;

/// The longest output of a packed frame, in bytes: as much as a call can be given wherever the buffer lies.
const MAX_OUTPUT: usize = OUTPUT_CAPACITY - PIECE_ALIGNMENT;

impl Signature {
    /// Packs a JSON array of arguments, as a request for a call has them: input, then what is in the output at first.
    ///
    /// # Errors
    /// The first argument that is none, with what was found and what was expected.
    pub fn pack(&self, arguments: &Value) -> Result<Vec<u8>> {
        self.pack_all(arguments).with_context(|| format!("the arguments of `{}`", self.text)).map_err(one_line)
    }

    fn pack_all(&self, arguments: &Value) -> Result<Vec<u8>> {
        let names =
            || self.arguments.iter().map(|argument| format!("{}: {argument}", argument.name)).collect::<Vec<_>>();
        let given = arguments.as_array().with_context(|| {
            format!("{}, expected an array with one value for each argument [{}]", short(arguments), names().join(", "))
        })?;
        ensure!(
            given.len() == self.arguments.len(),
            "{} values, expected {}: [{}]",
            given.len(),
            self.arguments.len(),
            names().join(", ")
        );
        let mut layout = Layout::of(self.shape());
        let (mut words, mut pieces) = (Vec::new(), Vec::new());
        for (argument, value) in self.arguments.iter().zip(given) {
            let at = format!("argument {}", argument.name);
            if argument.kind == ArgumentKind::Scalar {
                words.push(word(&at, &argument.of, value)?);
                continue;
            }
            let (bytes, length) = argument.piece(&at, value)?;
            let placed = layout.place(argument.kind, length).filter(|_| {
                let (input, output) = layout.sizes();
                input < MAX_REQUEST && output <= MAX_OUTPUT
            });
            let Some((side, offset)) = placed else {
                bail!(
                    "{at}: {length} bytes, expected fewer: all together fill {MAX_REQUEST} of input or {MAX_OUTPUT} of output; pass less"
                )
            };
            words.extend([offset as u64, length as u64]);
            pieces.push((side, offset, bytes));
        }
        let words: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        let (input, output) = layout.sizes();
        let mut sides = [vec![0; input], vec![0; output]];
        for (side, offset, bytes) in [(Side::Input, 0, words)].into_iter().chain(pieces) {
            let target = sides[side as usize].get_mut(offset..offset + bytes.len());
            target.context("a piece lies outside the frame")?.copy_from_slice(&bytes);
        }
        let [mut packed, output] = sides;
        packed.extend(output);
        let end = packed.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        packed.truncate(end.max(input));
        Ok(packed)
    }
}

/// Joins an error and its causes.
fn one_line(error: anyhow::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}

impl Argument {
    /// Returns the bytes of an argument that leads to memory, and its length.
    fn piece(&self, at: &str, value: &Value) -> Result<(Vec<u8>, usize)> {
        let size = || self.of.size().with_context(|| format!("{at}: {} can't lie in memory", self.of));
        let mut bytes = Vec::new();
        match (self.kind, value) {
            (ArgumentKind::Text, Value::String(text)) => bytes.extend(text.as_bytes()),
            (ArgumentKind::Text, other) => bail!("{at}: {}, expected a text", short(other)),
            (ArgumentKind::Out, Value::Object(room)) if room.len() == 1 => {
                let room = room.get("room").and_then(Value::as_u64).and_then(|room| usize::try_from(room).ok());
                let Some(room) = room else {
                    bail!(
                        "{at}: {}, expected {{\"room\": N}}, the number of {} that it has room for",
                        short(value),
                        self.of
                    )
                };
                let length = room.checked_mul(size()?);
                return Ok((bytes, length.with_context(|| format!("{at}: room for {room}, expected less"))?));
            }
            (ArgumentKind::Out, other) => {
                bail!(
                    "{at}: {}, expected {{\"room\": N}}, the number of {} that it has room for",
                    short(other),
                    self.of
                )
            }
            (_, value) if self.is_one => put(&mut bytes, at, &self.of, value)?,
            (ArgumentKind::Slice, Value::String(text)) if self.of.size() == Some(1) => bytes.extend(text.as_bytes()),
            (_, Value::Array(values)) => {
                for (index, value) in values.iter().enumerate() {
                    put(&mut bytes, &format!("{at}[{index}]"), &self.of, value)?;
                }
            }
            (_, other) => bail!("{at}: {}, expected an array of {}", short(other), self.of),
        }
        let length = bytes.len();
        Ok((bytes, length))
    }
}

/// Appends a value as it lies in memory. `at` is its place in the arguments, for messages.
fn put(bytes: &mut Vec<u8>, at: &str, of: &Type, value: &Value) -> Result<()> {
    match (of, value) {
        (Type::Array(element, length), Value::Array(values)) => {
            ensure!(values.len() == *length, "{at}: {} values, expected {length}", values.len());
            values
                .iter()
                .enumerate()
                .try_for_each(|(index, value)| put(bytes, &format!("{at}[{index}]"), element, value))
        }
        (Type::Array(element, length), other) => {
            bail!("{at}: {}, expected an array of {length} {element}", short(other))
        }
        (Type::Struct(_, fields), Value::Object(values)) => put_fields(bytes, at, of, fields, values),
        (Type::Struct(..), other) => bail!("{at}: {}, expected an object: {}", short(other), of.with_definition()),
        (Type::Integer(_, size, _) | Type::Float(_, size), value) => {
            bytes.extend(word(at, of, value)?.to_le_bytes().into_iter().take(*size));
            Ok(())
        }
        _ => bail!("{at}: {of} can't lie in memory"),
    }
}

fn put_fields(
    bytes: &mut Vec<u8>,
    at: &str,
    of: &Type,
    fields: &[(String, Type)],
    values: &Map<String, Value>,
) -> Result<()> {
    if let Some(unknown) = values.keys().find(|key| fields.iter().all(|(name, _)| name != *key)) {
        bail!("{at}: no field {}, expected {}", short(&Value::from(&**unknown)), of.with_definition());
    }
    fields.iter().try_for_each(|(name, field)| {
        let value = values.get(name).with_context(|| format!("{at}: no {name}, expected {}", of.with_definition()))?;
        put(bytes, &format!("{at}.{name}"), field, value)
    })
}

/// Returns the word of a value that crosses by value.
fn word(at: &str, of: &Type, value: &Value) -> Result<u64> {
    let word = match (of, value) {
        (Type::Bool, Value::Bool(value)) => Some(u64::from(*value)),
        (Type::Char, Value::String(text)) => {
            let mut letters = text.chars();
            letters.next().filter(|_| letters.next().is_none()).map(u64::from)
        }
        (Type::Integer(_, _, [least, greatest]), Value::Number(number)) => {
            let number = number.as_u64().map(i128::from).or_else(|| number.as_i64().map(i128::from));
            // Negative ones are extended to 64 bits.
            number.filter(|number| (least..=greatest).contains(&number)).map(|number| number as u64)
        }
        (Type::Float(_, size), value) => {
            let number = match value {
                Value::Number(number) => number.as_f64(),
                Value::String(text) => ["NaN", "inf", "-inf"].contains(&&**text).then(|| text.parse().ok()).flatten(),
                _ => None,
            };
            let narrow = number.map(|number| (number as f32, number));
            match size {
                4 => narrow
                    .filter(|(narrow, wide)| narrow.is_infinite() == wide.is_infinite())
                    .map(|(n, _)| n.to_bits().into()),
                _ => number.map(f64::to_bits),
            }
        }
        (Type::Enum(_, variants), Value::String(name)) => {
            variants.iter().find(|(variant, _)| variant == name).map(|(_, number)| number.cast_unsigned())
        }
        _ => None,
    };
    word.with_context(|| format!("{at}: {}, expected {}", short(value), expected(of)))
}

/// Returns the values of a type that crosses by value.
fn expected(of: &Type) -> String {
    match of {
        Type::Bool => "true or false".to_owned(),
        Type::Char => "a text of one letter".to_owned(),
        Type::Integer(name, _, [least, greatest]) => format!("{name} ({least} to {greatest})"),
        Type::Float(name, _) => format!("{name}: a number, \"NaN\", \"inf\" or \"-inf\""),
        Type::Enum(_, variants) => {
            let names: Vec<_> = variants.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            format!("one of {}", names.join(", "))
        }
        other => other.to_string(),
    }
}

/// Returns a value's beginning, for messages.
fn short(value: &Value) -> String {
    const MOST: usize = 40;
    let text = value.to_string();
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST).chain("..".chars()).collect() }
}
