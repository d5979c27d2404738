//! The answer of a method's call, as JSON.

use anyhow::{Context, Result, ensure};
use bareflow_abi::interface::{ArgumentKind, CallError, Frame, Layout, Side, Status};
use serde_json::{Map, Value, json};

use super::signature::Signature;
use super::types::Type;

/// The number of a status for an error that the provider met itself, without that of the error.
const HANDED_ON: u16 = 0x100;

/// The answer of a method.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    /// `{"ok": .., "outputs": {..}}` or `{"error": ".."}`.
    pub json: Value,
    /// Whether the method returned `Ok`.
    pub is_ok: bool,
}

impl Signature {
    /// Reads the answer of a call, whose request had this input: the number of its status, and its output.
    ///
    /// # Errors
    /// The answer is none of this method.
    pub fn answer(&self, input: &[u8], status: i32, output: &[u8]) -> Result<Answer> {
        let status = Status::from_number(u64::from(status.cast_unsigned()));
        let name = match status {
            Status::Returned => {
                let answer = self.outputs(input, output).context("the answer is none of this method; load it anew")?;
                return Ok(Answer { json: answer, is_ok: true });
            }
            Status::Failed(error) => format!("{error:?}"),
            Status::Refused(number) => self.error_name(number),
        };
        Ok(Answer { json: json!({ "error": name }), is_ok: false })
    }

    /// Returns the name of an error that the method returned.
    fn error_name(&self, number: u16) -> String {
        let own = match &self.error {
            Type::Enum(_, variants) => variants.iter().find(|(_, own)| *own == i64::from(number)),
            _ => None,
        };
        let handed_on = || number.checked_sub(HANDED_ON).and_then(|number| CallError::from_number(number.into()));
        match own {
            Some((name, _)) => name.clone(),
            None => handed_on().map_or_else(|| number.to_string(), |error| format!("{error:?}")),
        }
    }

    /// Returns what a method that returned `Ok` returned and wrote.
    fn outputs(&self, input: &[u8], output: &[u8]) -> Result<Value> {
        let sizes = Frame::sizes_of_packed(self.shape(), input).context("no packed input")?;
        ensure!(output.len() == sizes.1, "{} bytes of output, expected {}", output.len(), sizes.1);
        let mut header = output.chunks_exact(8).filter_map(|word| Some(u64::from_le_bytes(*word.first_chunk()?)));
        let value = header.next().context("no value")?;
        let mut words = input.chunks_exact(8).filter_map(|word| Some(u64::from_le_bytes(*word.first_chunk()?)));
        let (mut layout, mut outputs) = (Layout::of(self.shape()), Map::new());
        for argument in &self.arguments {
            words.next();
            if argument.kind == ArgumentKind::Scalar {
                continue;
            }
            let length = usize::try_from(words.next().context("no length")?)?;
            let (side, start) = layout.place(argument.kind, length).context("no place")?;
            if side == Side::Input {
                continue;
            }
            let written = match argument.kind {
                ArgumentKind::Out => usize::try_from(header.next().context("no length")?)?.min(length),
                _ => length,
            };
            let bytes = output.get(start..start + written).context("the output is too short")?;
            let size = argument.of.size().context("no size")?;
            let values = bytes.chunks_exact(size).map(|bytes| argument.of.value_at(bytes));
            let mut values = values.collect::<Option<Vec<_>>>().context("no value")?;
            let value = if argument.is_one { values.pop().context("no value")? } else { Value::Array(values) };
            outputs.insert(argument.name.clone(), value);
        }
        let value = self.returns.value(value).with_context(|| format!("{value:#x} is no {}", self.returns))?;
        Ok(if outputs.is_empty() { json!({ "ok": value }) } else { json!({ "ok": value, "outputs": outputs }) })
    }
}

impl Type {
    /// Returns the value of a word; `None` if it is none of this type.
    fn value(&self, word: u64) -> Option<Value> {
        let signed = word.cast_signed();
        match self {
            Type::Unit => Some(Value::Null),
            Type::Bool => (word < 2).then_some(Value::Bool(word == 1)),
            Type::Char => Some(char::from_u32(word.try_into().ok()?)?.to_string().into()),
            Type::Integer(_, _, [0, greatest]) => (i128::from(word) <= *greatest).then(|| word.into()),
            Type::Integer(_, _, range) => (range[0]..=range[1]).contains(&signed.into()).then(|| signed.into()),
            Type::Float(_, 4) => Some(float(shortest(f32::from_bits(word.try_into().ok()?)))),
            Type::Float(..) => Some(float(f64::from_bits(word))),
            Type::Enum(_, variants) => Some((*variants.iter().find(|(_, number)| *number == signed)?.0).into()),
            Type::CallError | Type::Array(..) | Type::Struct(..) => None,
        }
    }

    /// Returns the value of bytes, which are as many as the type has.
    fn value_at(&self, bytes: &[u8]) -> Option<Value> {
        match self {
            Type::Array(element, _) => Some(Value::Array(
                bytes.chunks_exact(element.size()?).map(|bytes| element.value_at(bytes)).collect::<Option<_>>()?,
            )),
            Type::Struct(_, fields) => {
                let (mut rest, mut values) = (bytes, Map::new());
                for (name, field) in fields {
                    let (of_field, behind) = rest.split_at_checked(field.size()?)?;
                    rest = behind;
                    values.insert(name.clone(), field.value_at(of_field)?);
                }
                Some(Value::Object(values))
            }
            number => {
                let mut word = [0; 8];
                word.get_mut(..bytes.len())?.copy_from_slice(bytes);
                let word = u64::from_le_bytes(word);
                let is_negative = matches!(number, Type::Integer(_, _, [..=-1, _])) && bytes.last()? >= &0x80;
                // A negative number is extended to 64 bits.
                let above = if is_negative { u64::MAX.checked_shl(bytes.len() as u32 * 8).unwrap_or(0) } else { 0 };
                number.value(word | above)
            }
        }
    }
}

/// Returns a float, which JSON may have no number for.
fn float(number: f64) -> Value {
    serde_json::Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number)
}

/// Returns the number with the fewest digits that is this one as an `f32`.
fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_else(|_| number.into())
}
