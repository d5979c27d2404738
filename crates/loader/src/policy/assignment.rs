//! Values of parameters, and providers of imports, as text: one line for each, in one form from the command line to the
//! loader.

use core::fmt;

use bareflow_abi::parameters::{Parameter, ParameterType, Value};

use crate::name::{Name, Version};
use crate::printable::Printable;

/// A line that sets a parameter, or that binds an import: `net.mtu=9000`, or `net.mtu` for its default;
/// `bind scan.source=disk@^1`, or `bind scan.source` for the provider that the blob asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment<'text> {
    /// The whole line.
    pub line: &'text str,
    /// Whether it binds an import.
    pub binds: bool,
    /// The module's name.
    pub module: &'text str,
    /// The parameter's name, or the import's.
    pub name: Name,
    /// The value, or the provider's selector; `None` for that of the blob.
    pub value: Option<&'text str>,
}

/// The word before a line that binds an import. A module's name has no space.
const BIND: &str = "bind ";

impl<'text> Assignment<'text> {
    /// Reads a line.
    ///
    /// # Errors
    /// [`BadAssignment::Syntax`], [`BadAssignment::BindSyntax`].
    pub fn parse(line: &'text str) -> Result<Assignment<'text>, BadAssignment> {
        let (binds, rest) = line.strip_prefix(BIND).map_or((false, line), |rest| (true, rest));
        let (target, value) = rest.split_once('=').map_or((rest, None), |(target, value)| (target, Some(value)));
        let parts =
            target.split_once('.').and_then(|(module, name)| Some((Name::new(module)?, module, Name::new(name)?)));
        match parts {
            Some((_, module, name)) if !line.contains(char::is_control) => {
                Ok(Assignment { line, binds, module, name, value })
            }
            _ if binds => Err(BadAssignment::BindSyntax { found: Excerpt::new(rest) }),
            _ => Err(BadAssignment::Syntax { found: Excerpt::new(line) }),
        }
    }

    /// Iterates over the lines of `text`; empty ones are skipped.
    #[must_use]
    pub const fn all(text: &'text str) -> Assignments<'text> {
        Assignments(text)
    }
}

/// An iterator over the lines of a text.
#[derive(Clone, Debug)]
pub struct Assignments<'text>(&'text str);

impl<'text> Iterator for Assignments<'text> {
    type Item = Result<Assignment<'text>, BadAssignment>;

    // The code of a search for a line's end is in the kernel once.
    #[inline(never)]
    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            let (line, rest) = self.0.split_once('\n').unwrap_or((self.0, ""));
            self.0 = rest;
            if !line.is_empty() {
                return Some(Assignment::parse(line));
            }
        }
        None
    }
}

/// The reason for which a parameter can't be set, or an import can't be bound as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadAssignment {
    /// The line does not have the form of an assignment.
    #[error("\"{found}\" sets no parameter, expected MODULE.PARAMETER=VALUE without control characters")]
    Syntax {
        /// The start of the line.
        found: Excerpt,
    },
    /// The line does not have the form of a binding.
    #[error("\"{found}\" binds no import, expected MODULE.IMPORT=PROVIDER without control characters")]
    BindSyntax {
        /// The start of the line, without the word `bind`.
        found: Excerpt,
    },
    /// The module has no parameter of that name.
    #[error("unknown parameter: {name}; set one that the module has, see `inspect`")]
    Unknown {
        /// The name.
        name: Name,
    },
    /// The module has no import of that name.
    #[error("unknown import: {name}; bind one that the module has, see `inspect`")]
    UnknownImport {
        /// The name.
        name: Name,
    },
    /// The provider is no selector.
    #[error("{name}: \"{found}\", expected a provider's name, and @ and a version if you like")]
    Selector {
        /// The import's name.
        name: Name,
        /// The start of the provider.
        found: Excerpt,
    },
    /// The parameter is set, or the import bound, twice.
    #[error("{name} is set twice; set it once")]
    Twice {
        /// The name.
        name: Name,
    },
    /// The value is none of the type, or out of bounds.
    #[error("{name}: \"{found}\", expected {expected}; set it to such a value")]
    Value {
        /// The name.
        name: Name,
        /// The start of the value.
        found: Excerpt,
        /// The values that may be set.
        expected: Expected,
    },
    /// The parameter was set for the module that is replaced, and can't be taken over.
    #[error(
        "{name}: \"{found}\" was set for {version}, and this version {}; set it anew, or to its default by \
         `--set` with its name alone",
        NotTaken(*.expected)
    )]
    Inherited {
        /// The name.
        name: Name,
        /// The start of the value.
        found: Excerpt,
        /// The version that it was set for.
        version: Version,
        /// The values that may be set; `None` if the parameter no longer exists.
        expected: Option<Expected>,
    },
    /// The import was bound for the module that is replaced, and no longer exists.
    #[error(
        "{name}: it was bound to \"{found}\" for {version}, and this version has no such import; drop that by \
         `--bind` with its name alone"
    )]
    InheritedImport {
        /// The import's name.
        name: Name,
        /// The start of the provider.
        found: Excerpt,
        /// The version that it was bound for.
        version: Version,
    },
}

/// The number of bytes of a text that are kept.
const EXCERPT_SIZE: usize = 23;

/// The start of a text in a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Excerpt {
    length: u8,
    bytes: [u8; EXCERPT_SIZE],
}

impl Excerpt {
    pub(crate) fn new(text: &str) -> Excerpt {
        let mut bytes = [0; EXCERPT_SIZE];
        bytes.iter_mut().zip(text.bytes()).for_each(|(target, byte)| *target = byte);
        // A length beyond the bytes that are kept says that there are more.
        Excerpt { length: u8::try_from(text.len()).unwrap_or(u8::MAX), bytes }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = usize::from(self.length);
        let kept = self.bytes.get(..length.min(EXCERPT_SIZE)).unwrap_or_default();
        // A character may be cut.
        let whole = kept.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        write!(out, "{}{}", Printable(whole.as_bytes()), if length > EXCERPT_SIZE { ".." } else { "" })
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// The values that a parameter may have, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    kind: ParameterType,
    size: u16,
    /// The least and the greatest value of a number, in bytes.
    bounds: [[u8; 8]; 2],
}

impl Expected {
    pub(crate) fn of(parameter: &Parameter<'_>) -> Expected {
        let bytes = |value: Value<'_>| {
            let (mut bytes, mut position) = ([0; 8], 0);
            value.encode(parameter.size, &mut |part| {
                bytes.iter_mut().skip(position).zip(part).for_each(|(target, byte)| *target = *byte);
                position += part.len();
            });
            bytes
        };
        let bounds = parameter.bounds.map_or([[0; 8]; 2], |bounds| bounds.map(bytes));
        Expected { kind: parameter.kind, size: parameter.size, bounds }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Expected { kind, size, bounds } = self;
        if *kind == ParameterType::Bool {
            return out.write_str("true or false");
        }
        let [least, greatest] = bounds.each_ref().map(|bytes| Value::decode(*kind, bytes.get(..usize::from(*size))?));
        let bounds = least.zip(greatest).filter(|_| kind.is_number()).map(|(least, greatest)| [least, greatest]);
        let default = Value::Bool(false);
        let shown = Parameter { name: "", kind: *kind, size: *size, default, bounds, description: "" };
        fmt::Display::fmt(&shown.admitted(), out)
    }
}

/// The reason for which a value can't be taken over.
struct NotTaken(Option<Expected>);

impl fmt::Display for NotTaken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(expected) => write!(out, "expects {expected}"),
            None => out.write_str("has no such parameter"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn reads_lines() {
        let found: Vec<_> =
            Assignment::all("net.mtu=9000\nnet.host_name=a=b\nlog-2.level\n").map(Result::unwrap).collect();
        let parts: Vec<_> = found.iter().map(|found| (found.module, found.name.as_str(), found.value)).collect();
        let expected = [("net", "mtu", Some("9000")), ("net", "host_name", Some("a=b")), ("log-2", "level", None)];
        assert_eq!(parts, expected);
        assert_eq!(Assignment::parse("net.host=").unwrap().value, Some(""));
    }

    #[test]
    fn reads_bindings() {
        let parts = |line| Assignment::parse(line).map(|found| (found.binds, found.module, found.name, found.value));
        let source = Name::new("source").unwrap();
        assert_eq!(parts("bind scan.source=disk@^1"), Ok((true, "scan", source, Some("disk@^1"))));
        assert_eq!(parts("bind scan.source"), Ok((true, "scan", source, None)));
        assert_eq!(parts("bind.source=a"), Ok((false, "bind", source, Some("a"))));
        let error = Assignment::parse("bind source=disk").unwrap_err().to_string();
        assert!(error.starts_with("\"source=disk\" binds no import, expected MODULE.IMPORT=PROVIDER"), "{error}");
    }

    #[test]
    fn rejects_what_sets_nothing() {
        for line in ["", "mtu=1", "net.=1", ".mtu=1", "net.MTU=1", "net.a.b=1", "net.a=\u{7}", "Net.a=1"] {
            let error = Assignment::parse(line).unwrap_err().to_string();
            assert!(error.contains("sets no parameter"), "{line}: {error}");
        }
        let long = Assignment::parse("this is a line that is far too long").unwrap_err().to_string();
        assert!(long.starts_with("\"this is a line that is ..\" sets"), "{long}");
    }

    use std::vec::Vec;
}
