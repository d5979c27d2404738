//! The text of an interface's signatures, which people read and tools parse as Rust.
//!
//! Its first line is `interface files 1.0`; then comes a line for each method, then one for each type that has a name.

use super::shape::ArgumentKind;
use super::signature::{Argument, Signature};
use super::types::TypeInfo;
use crate::const_bytes::is_same;

/// The maximum number of types with names in an interface.
const MAX_TYPES: usize = 64;

/// Returns the size of the text of an interface, in bytes.
#[must_use]
pub const fn text_size(name: &str, version: (u16, u16), signatures: &[Signature]) -> usize {
    Text::<0>::of(name, version, signatures).length
}

/// Returns the text of an interface, in exactly [`text_size`] bytes.
#[must_use]
pub const fn encode_text<const N: usize>(name: &str, version: (u16, u16), signatures: &[Signature]) -> [u8; N] {
    Text::<N>::of(name, version, signatures).bytes
}

/// Returns encoded text as text.
///
/// # Panics
/// If it is none, which a compiler notices.
#[must_use]
pub const fn text(bytes: &[u8]) -> &str {
    match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => panic!("a name is no text"),
    }
}

/// Returns the size of texts one after the other, each once, in bytes.
#[must_use]
pub const fn joined_size(texts: &[&str]) -> usize {
    Text::<0>::joined(texts).length
}

/// Returns texts one after the other, each once, in exactly [`joined_size`] bytes.
#[must_use]
pub const fn join<const N: usize>(texts: &[&str]) -> [u8; N] {
    Text::<N>::joined(texts).bytes
}

/// A text that grows; what does not fit is only counted.
struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Text<N> {
    const EMPTY: Text<N> = Text { bytes: [0; N], length: 0 };

    const fn of(name: &str, version: (u16, u16), signatures: &[Signature]) -> Text<N> {
        let (mut text, mut types, mut index) = (Text::EMPTY, Types { found: [None; MAX_TYPES], count: 0 }, 0);
        text.put("interface ");
        text.put(name);
        text.put(" ");
        text.put_number(version.0 as i64);
        text.put(".");
        text.put_number(version.1 as i64);
        text.put("\n");
        while index < signatures.len() {
            text.put_signature(&signatures[index]);
            types.add_all(&signatures[index]);
            index += 1;
        }
        index = 0;
        while index < types.count {
            if let Some(definition) = types.found[index] {
                text.put_definition(definition);
            }
            index += 1;
        }
        text
    }

    const fn joined(texts: &[&str]) -> Text<N> {
        let (mut text, mut index) = (Text::EMPTY, 0);
        while index < texts.len() {
            let mut earlier = 0;
            while earlier < index && !is_same(texts[earlier], texts[index]) {
                earlier += 1;
            }
            if earlier == index {
                text.put(texts[index]);
            }
            index += 1;
        }
        text
    }

    const fn put(&mut self, part: &str) {
        let (part, mut index) = (part.as_bytes(), 0);
        while index < part.len() {
            if self.length < N {
                self.bytes[self.length] = part[index];
            }
            self.length += 1;
            index += 1;
        }
    }

    const fn put_number(&mut self, number: i64) {
        if number < 0 {
            self.put("-");
        }
        let rest = number.unsigned_abs();
        let mut unit = 1;
        while rest / unit >= 10 {
            unit *= 10;
        }
        while unit > 0 {
            let digit = [b'0' + (rest / unit % 10) as u8];
            self.put(text(&digit));
            unit /= 10;
        }
    }

    const fn put_signature(&mut self, signature: &Signature) {
        self.put("fn ");
        self.put(signature.name);
        self.put(if signature.is_exclusive { "(&mut self" } else { "(&self" });
        let mut index = 0;
        while index < signature.arguments.len() {
            self.put(", ");
            self.put_argument(&signature.arguments[index]);
            index += 1;
        }
        self.put(") -> Result<");
        self.put_type(signature.returns);
        self.put(", ");
        self.put_type(signature.error);
        self.put(">\n");
    }

    const fn put_argument(&mut self, argument: &Argument) {
        let (before, after) = match (argument.kind, argument.is_one) {
            (ArgumentKind::Scalar, _) => ("", ""),
            (ArgumentKind::Text, _) | (ArgumentKind::Slice, true) => ("&", ""),
            (ArgumentKind::Slice, false) => ("&[", "]"),
            (ArgumentKind::SliceMut, true) => ("&mut ", ""),
            (ArgumentKind::SliceMut, false) => ("&mut [", "]"),
            (ArgumentKind::Out, _) => ("&mut Out<'_, ", ">"),
        };
        self.put(argument.name);
        self.put(": ");
        self.put(before);
        self.put_type(argument.of);
        self.put(after);
    }

    const fn put_type(&mut self, of: &TypeInfo) {
        match *of {
            TypeInfo::Primitive(name) | TypeInfo::Struct(name, _) | TypeInfo::Enum(name, _) => self.put(name),
            TypeInfo::Array(element, length) => {
                self.put("[");
                self.put_type(element);
                self.put("; ");
                self.put_number(length as i64);
                self.put("]");
            }
        }
    }

    const fn put_definition(&mut self, of: &TypeInfo) {
        let mut index = 0;
        match *of {
            TypeInfo::Primitive(_) | TypeInfo::Array(..) => return,
            TypeInfo::Struct(name, fields) => {
                self.put("struct ");
                self.put(name);
                while index < fields.len() {
                    self.put(if index == 0 { " { " } else { ", " });
                    self.put(fields[index].0);
                    self.put(": ");
                    self.put_type(fields[index].1);
                    index += 1;
                }
            }
            TypeInfo::Enum(name, variants) => {
                self.put("enum ");
                self.put(name);
                while index < variants.len() {
                    self.put(if index == 0 { " { " } else { ", " });
                    self.put(variants[index].0);
                    self.put(" = ");
                    self.put_number(variants[index].1);
                    index += 1;
                }
            }
        }
        self.put(if index == 0 { " {}\n" } else { " }\n" });
    }
}

/// The types with names that were found, each once.
struct Types {
    found: [Option<&'static TypeInfo>; MAX_TYPES],
    count: usize,
}

impl Types {
    const fn add_all(&mut self, signature: &Signature) {
        let mut index = 0;
        while index < signature.arguments.len() {
            self.add(signature.arguments[index].of);
            index += 1;
        }
        self.add(signature.returns);
        self.add(signature.error);
    }

    const fn add(&mut self, of: &'static TypeInfo) {
        let mut index = 0;
        match *of {
            TypeInfo::Primitive(_) => return,
            TypeInfo::Array(element, _) => return self.add(element),
            TypeInfo::Struct(name, fields) => {
                if self.has(name, of) {
                    return;
                }
                while index < fields.len() {
                    self.add(fields[index].1);
                    index += 1;
                }
            }
            TypeInfo::Enum(name, _) => {
                if self.has(name, of) {
                    return;
                }
            }
        }
        assert!(self.count < MAX_TYPES, "an interface has at most 64 types with names");
        self.found[self.count] = Some(of);
        self.count += 1;
    }

    const fn has(&self, name: &str, of: &TypeInfo) -> bool {
        let mut index = 0;
        while index < self.count {
            if let Some(found @ (TypeInfo::Struct(other, _) | TypeInfo::Enum(other, _))) = self.found[index]
                && is_same(name, other)
            {
                assert!(found.fingerprint() == of.fingerprint(), "two types of an interface have one name: rename one");
                return true;
            }
            index += 1;
        }
        false
    }
}
