//! Functions and methods that clients name.

use alloc::vec::Vec;
use core::fmt;

use bareflow_abi::interface::{Frame, PIECE_ALIGNMENT, Shape};
use bareflow_loader::{CallOutcome, ExecuteError, FunctionId, ModuleId, ModuleManager, Platform, Printable, TimedCall};
use bareflow_protocol::control::{Refusal, RefusalCode};
use bareflow_suite::fallible::NoMemory;
use bareflow_suite::{error_text, text};

use crate::requested_options::bounded;
use crate::{Server, ServerEnvironment};

/// The code that a client calls.
#[derive(Clone, Copy)]
pub(crate) enum Callee {
    /// A module's `run`.
    Run(ModuleId),
    /// A function or method.
    Function(FunctionId),
}

impl Callee {
    /// Returns the module.
    pub const fn module(self) -> ModuleId {
        match self {
            Callee::Run(id) => id,
            Callee::Function(function) => function.module,
        }
    }
}

/// Bytes whose first one has an address that is a multiple of [`PIECE_ALIGNMENT`].
pub(crate) struct AlignedBytes(Vec<u8>, usize);

impl AlignedBytes {
    /// Copies bytes.
    pub fn copy(bytes: &[u8]) -> Result<AlignedBytes, NoMemory> {
        let mut copy: Vec<u8> = Vec::new();
        copy.try_reserve_exact(bytes.len() + PIECE_ALIGNMENT - 1)?;
        let start = copy.as_ptr().align_offset(PIECE_ALIGNMENT);
        // Within the capacity, so the bytes stay where they are.
        copy.resize(start, 0);
        copy.extend_from_slice(bytes);
        Ok(AlignedBytes(copy, start))
    }

    /// Returns the bytes.
    pub fn get(&self) -> &[u8] {
        self.0.get(self.1..).unwrap_or_default()
    }
}

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// Returns what a client's selector names: `name` or `name@version`, or `name[.interface].function[@version]`.
    pub(crate) fn callee(&self, selector: &str) -> Result<Callee, Refusal> {
        let selector = bounded(selector)?;
        let (path, version) = selector.split_at(selector.find('@').unwrap_or(selector.len()));
        let Some((module, function)) = path.split_once('.') else { return Ok(Callee::Run(self.select(selector)?)) };
        let id = self.select(&text!("{module}{version}")?)?;
        self.manager.function_of(id, function).map(Callee::Function).map_err(|error| {
            let (selector, functions) = (Printable(selector.as_bytes()), FunctionNames(&self.manager, id));
            Refusal::new(RefusalCode::NoFunction, error_text!("{selector}: {error} ({functions})"))
        })
    }

    /// Calls a function. The input of a method is the packed form of its frame, input and output; zeros at the end may
    /// be missing. Its output is that of the packed form, its result the number of its status.
    pub(crate) fn call_function(
        &self,
        function: FunctionId,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Result<TimedCall, ExecuteError>, Refusal> {
        let Some(shape) = function.shape else {
            return Ok(self.manager.execute_function(function, input, output));
        };
        let (arguments, memory) = split(shape, input)?;
        let start = output.as_ptr().align_offset(PIECE_ALIGNMENT);
        let room = output.get_mut(start..).unwrap_or_default();
        let most = room.len();
        let Some(room) = room.get_mut(..memory.length) else {
            let found = memory.length;
            return Err(error_text!("{found} bytes of output, expected at most {most}; pass less room").into());
        };
        room.fill(0);
        room.iter_mut().zip(memory.begin).for_each(|(target, byte)| *target = *byte);
        let called = self.manager.call_packed(function, arguments, room);
        output.copy_within(start..start + memory.length, 0);
        // A status has 17 bits.
        let outcome = |status: u64| CallOutcome { result: status as i32, output_length: memory.length };
        Ok(called.map(|timed| TimedCall { outcome: outcome(timed.reply.status), cycles: timed.cycles }))
    }
}

/// The memory that a method may write: its length in bytes, and what is in it at first, up to zeros.
struct Written<'input> {
    length: usize,
    begin: &'input [u8],
}

/// Splits the input of a method's call.
fn split(shape: Shape, input: &[u8]) -> Result<(&[u8], Written<'_>), Refusal> {
    let sizes = Frame::sizes_of_packed(shape, input);
    let parts = sizes.and_then(|(arguments, length)| Some((input.split_at_checked(arguments)?, length)));
    match parts {
        Some(((arguments, begin), length)) if begin.len() <= length => Ok((arguments, Written { length, begin })),
        _ => Err(error_text!(
            "{} bytes of input, expected the packed form of the method's arguments; see docs/live.md",
            input.len()
        )
        .into()),
    }
}

/// The functions that a module exports, as text.
pub(crate) struct FunctionNames<'manager, P: Platform>(pub &'manager ModuleManager<P>, pub ModuleId);

impl<P: Platform> fmt::Display for FunctionNames<'_, P> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut result, mut before) = (out.write_str("it exports"), " ");
        self.0.for_each_function(self.1, |_, interface, name| {
            let dot = if interface.is_empty() { "" } else { "." };
            // The signatures may have been stripped.
            let name = if name.is_empty() { "?" } else { name };
            result = result.and_then(|()| write!(out, "{before}{interface}{dot}{name}"));
            before = ", ";
        });
        result?;
        if before == " " { out.write_str(" none") } else { Ok(()) }
    }
}
