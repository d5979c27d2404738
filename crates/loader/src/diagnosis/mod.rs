//! Diagnosis of a fault.
//!
//! It has the registers, the code, the panic message, the last service calls, the callers ([`callers`]) and the remedy
//! ([`remedy`]).

pub mod callers;
pub mod decode;
pub mod remedy;

use core::fmt;

use bareflow_abi::header::SERVICE_NAMES;
use bareflow_abi::symbols::{Symbol, Symbols};
use bareflow_abi::trap_codes::PANIC_TEXT_SIZE;

pub use callers::Callers;
pub use remedy::{Explained, Remedy};

use crate::fault::Fault;
use crate::name::{Name, Version};
use crate::policy::budget::Budget;
use crate::printable::Printable;
use crate::profile::ModuleProfile;

/// The names of the registers, in the order of [`Diagnosis::registers`].
pub const REGISTER_NAMES: [&str; 18] = [
    "rip", "rflags", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];

/// The number of code bytes that are kept: the longest instruction (Intel SDM volume 2, 2.3.11) and one more.
pub const CODE_SIZE: usize = 16;

/// The number of service calls that are kept.
pub const SERVICE_CALLS: usize = 4;

/// The longest part of a panic's message that is kept, in bytes.
pub const MESSAGE_SIZE: usize = PANIC_TEXT_SIZE;

/// A call of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceCall {
    /// The service's `SERVICE_*` bit.
    pub service: u32,
    /// The arguments after the context; zero where the service has none.
    pub arguments: [u64; 2],
}

/// The last service calls that a module made during a call, the latest last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceLog {
    calls: [ServiceCall; SERVICE_CALLS],
    count: usize,
}

impl ServiceLog {
    /// A log without calls.
    pub const EMPTY: ServiceLog =
        ServiceLog { calls: [ServiceCall { service: 0, arguments: [0; 2] }; SERVICE_CALLS], count: 0 };

    /// Adds a call. Drops the oldest one if the log is full.
    pub fn push(&mut self, call: ServiceCall) {
        if self.count == SERVICE_CALLS {
            self.calls.rotate_left(1);
            self.count -= 1;
        }
        if let Some(target) = self.calls.get_mut(self.count) {
            *target = call;
            self.count += 1;
        }
    }

    /// Returns the calls, the latest last.
    #[must_use]
    pub fn calls(&self) -> &[ServiceCall] {
        self.calls.get(..self.count).unwrap_or_default()
    }
}

/// A text of limited length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    bytes: [u8; MESSAGE_SIZE],
    length: usize,
    is_cut: bool,
}

impl Text {
    /// Copies as much of `bytes` as fits.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Text {
        let length = bytes.len().min(MESSAGE_SIZE);
        let mut text = Text { bytes: [0; MESSAGE_SIZE], length, is_cut: bytes.len() > length };
        text.bytes.iter_mut().zip(bytes).for_each(|(target, byte)| *target = *byte);
        text
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Returns the same text, marked as cut if `is_cut`.
    #[must_use]
    pub fn cut(self, is_cut: bool) -> Text {
        Text { is_cut: self.is_cut || is_cut, ..self }
    }

    /// Returns whether the original text had more bytes.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }
}

/// Shows the text on one line, and says so if it was cut.
impl fmt::Display for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes();
        if !self.is_cut {
            return Printable(bytes).fmt(out);
        }
        // An incomplete character at the end is left out.
        let whole = match core::str::from_utf8(bytes) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => bytes.len(),
        };
        write!(out, "{} .. (cut after {} bytes)", Printable(bytes.get(..whole).unwrap_or(bytes)), self.length)
    }
}

/// A panic's message and location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PanicMessage {
    /// The message.
    pub message: Text,
    /// The source file.
    pub file: Text,
    /// The line in that file.
    pub line: u32,
}

/// A position in a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFunction {
    name: Text,
    /// The distance of the instruction from the function's first one, in bytes.
    pub distance: u64,
}

impl InFunction {
    /// Finds the function at `offset` from the image's base by these [`Symbols`].
    pub(crate) fn find(symbols: &[u8], offset: u64) -> Option<InFunction> {
        Symbols::find(symbols, offset).map(|symbol| InFunction::new(&symbol, offset))
    }

    /// Returns the position at `offset` from the image's base, in `function` or right after it.
    fn new(function: &Symbol<'_>, offset: u64) -> InFunction {
        InFunction { name: Text::new(function.name.as_bytes()), distance: offset - u64::from(function.offset) }
    }

    /// Returns the function to blame for `fault`, by these [`Symbols`].
    ///
    /// For a panic or an exhausted heap, that is the function that called the library; for other faults, the one that
    /// faulted.
    pub(crate) fn blamed(symbols: &[u8], fault: &Fault, callers: &Callers) -> Option<InFunction> {
        let asked = fault.kind.is_modules_own_word().then(|| callers.blamed(symbols)).flatten();
        asked.or_else(|| InFunction::find(symbols, fault.offset?))
    }
}

/// Shows the function's name, and the distance unless it is zero: `sum::add+0x12`.
impl fmt::Display for InFunction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", Printable(self.name.bytes()))?;
        if self.distance > 0 { write!(out, "+{:#x}", self.distance) } else { Ok(()) }
    }
}

/// The details of a fault beyond its kind and address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// The registers at the fault, in the order of [`REGISTER_NAMES`].
    pub registers: [u64; REGISTER_NAMES.len()],
    /// The bytes from the faulting instruction on; only the first `code_length` are the module's.
    pub code: [u8; CODE_SIZE],
    /// The number of valid bytes in `code`; 0 if execution had left the module.
    pub code_length: usize,
    /// The last service calls.
    pub services: ServiceLog,
    /// The panic's message and location, if it was a panic.
    pub panic: Option<PanicMessage>,
    /// The size of the failed allocation in bytes, if the heap was exhausted.
    pub heap_request: Option<u64>,
    /// The return addresses on the stack, for a panic and an exhausted heap.
    pub callers: Callers,
    /// The function to blame, if the blob has symbols; the loader fills it in.
    pub function: Option<InFunction>,
}

impl Diagnosis {
    /// Returns a diagnosis of which only the instruction pointer is known.
    #[must_use]
    pub fn at(rip: u64) -> Diagnosis {
        let mut registers = [0; REGISTER_NAMES.len()];
        registers[0] = rip;
        Diagnosis {
            registers,
            code: [0; CODE_SIZE],
            code_length: 0,
            services: ServiceLog::EMPTY,
            panic: None,
            heap_request: None,
            callers: Callers::NONE,
            function: None,
        }
    }

    /// Returns the module's bytes at the faulting instruction.
    #[must_use]
    pub fn code(&self) -> &[u8] {
        self.code.get(..self.code_length).unwrap_or_default()
    }
}

/// The properties of a module that are shown along with its fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    pub name: Name,
    pub version: Version,
    pub budget: Budget,
    pub services: u32,
}

impl Subject {
    pub fn of(profile: &ModuleProfile) -> Subject {
        let ModuleProfile { name, version, budget, services, .. } = *profile;
        Subject { name, version, budget, services }
    }
}

/// A module's fault with its diagnosis, shown as several lines, each with its end.
#[derive(Clone, Copy, Debug)]
pub struct FaultText<'fault> {
    pub(crate) subject: Subject,
    pub(crate) fault: &'fault Fault,
    pub(crate) diagnosis: Option<&'fault Diagnosis>,
}

impl<'fault> FaultText<'fault> {
    /// Combines a module's profile with its fault and the diagnosis, if there is one.
    #[must_use]
    pub fn new(
        profile: &ModuleProfile,
        fault: &'fault Fault,
        diagnosis: Option<&'fault Diagnosis>,
    ) -> FaultText<'fault> {
        FaultText { subject: Subject::of(profile), fault, diagnosis }
    }
}

impl fmt::Display for FaultText<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FaultText { subject, fault, diagnosis } = self;
        writeln!(out, "module {} {}: {fault}", subject.name, subject.version)?;
        let remedy = Remedy::of(fault, *diagnosis, &subject.budget, subject.services);
        if let Some(remedy) = remedy {
            writeln!(out, "  {remedy}")?;
        }
        let Some(diagnosis) = diagnosis else { return Ok(()) };
        if let Some(function) = &diagnosis.function {
            writeln!(out, "  in {function}")?;
        }
        if let Some(PanicMessage { message, file, line }) = &diagnosis.panic {
            writeln!(out, "  panicked: {message} ({}:{line})", Printable(file.bytes()))?;
        }
        for (names, values) in REGISTER_NAMES.chunks(3).zip(diagnosis.registers.chunks(3)) {
            for (name, value) in names.iter().zip(values) {
                write!(out, "  {name:<6} {value:#018x}")?;
            }
            writeln!(out)?;
        }
        // The instruction by which a module panics or reports an exhausted heap is always the same.
        if !diagnosis.code().is_empty() && !fault.kind.is_modules_own_word() {
            write!(out, "  code  ")?;
            for byte in diagnosis.code() {
                write!(out, " {byte:02x}")?;
            }
            writeln!(out)?;
        }
        for call in diagnosis.services.calls() {
            let name = SERVICE_NAMES.iter().find(|(bit, _)| *bit == call.service).map_or("unknown", |(_, name)| name);
            let [first, second] = call.arguments;
            let undeclared = if subject.services & call.service == 0 { ", which it does not declare" } else { "" };
            writeln!(out, "  called {name}({first:#x}, {second:#x}){undeclared}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_service_calls() {
        let mut log = ServiceLog::EMPTY;
        for service in 0..6 {
            log.push(ServiceCall { service, arguments: [0; 2] });
        }
        assert_eq!(log.calls().iter().map(|call| call.service).collect::<std::vec::Vec<_>>(), [2, 3, 4, 5]);
    }

    #[test]
    fn cuts_long_text() {
        assert_eq!(Text::new(&[7; 500]).bytes(), [7; MESSAGE_SIZE]);
        assert_eq!(Text::new(b"short").bytes(), b"short");
        assert_eq!((Text::new(&[7; 500]).is_cut(), Text::new(&[7; MESSAGE_SIZE]).is_cut()), (true, false));
    }

    #[test]
    fn says_that_a_text_was_cut_and_shows_no_half_character() {
        use std::string::ToString;
        assert_eq!(Text::new(b"whole").to_string(), "whole");
        assert_eq!(Text::new(b"a part").cut(true).to_string(), "a part .. (cut after 6 bytes)");
        assert_eq!(
            Text::new("half \u{fc}".as_bytes().split_last().unwrap().1).cut(true).to_string(),
            "half  .. (cut after 6 bytes)"
        );
    }
}
