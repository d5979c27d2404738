//! Calls of functions and methods by bytes.

use alloc::vec::Vec;

use bareflow_abi::interface::{Frame, PIECE_ALIGNMENT, Shape};
use bareflow_loader::{CallOutcome, ExecuteError, FunctionId, ModuleManager, Platform, TimedCall};

use crate::error_text;
use crate::fallible::{ErrorText, NoMemory};

/// Bytes whose first one has an address that is a multiple of [`PIECE_ALIGNMENT`].
#[derive(Debug)]
pub struct AlignedBytes(Vec<u8>, usize);

impl AlignedBytes {
    /// Copies bytes.
    ///
    /// # Errors
    /// [`NoMemory`].
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
    #[must_use]
    pub fn get(&self) -> &[u8] {
        self.0.get(self.1..).unwrap_or_default()
    }
}

/// Calls a function, with an input that is [aligned](AlignedBytes).
///
/// The input of a method is the packed form of its frame, input and output; zeros at the end may be missing. Its output is
/// that of the packed form, its result the number of its status.
///
/// # Errors
/// The input is none of the function, or there is not enough room for its output. The inner error says why there is no
/// result.
pub fn call_function<P: Platform>(
    manager: &ModuleManager<P>,
    function: FunctionId,
    input: &[u8],
    output: &mut [u8],
) -> Result<Result<TimedCall, ExecuteError>, ErrorText> {
    let Some(shape) = function.shape else {
        return Ok(manager.execute_function(function, input, output));
    };
    let (arguments, memory) = split(shape, input)?;
    let start = output.as_ptr().align_offset(PIECE_ALIGNMENT);
    let room = output.get_mut(start..).unwrap_or_default();
    let most = room.len();
    let Some(room) = room.get_mut(..memory.length) else {
        let found = memory.length;
        return Err(error_text!("{found} bytes of output, expected at most {most}; pass less room"));
    };
    room.fill(0);
    room.iter_mut().zip(memory.begin).for_each(|(target, byte)| *target = *byte);
    let called = manager.call_packed(function, arguments, room);
    output.copy_within(start..start + memory.length, 0);
    // A status has 17 bits.
    let outcome = |status: u64| CallOutcome { result: status as i32, output_length: memory.length };
    Ok(called.map(|timed| TimedCall { outcome: outcome(timed.reply.status), cycles: timed.cycles }))
}

/// The memory that a method may write: its length in bytes, and what is in it at first, up to zeros.
struct Written<'input> {
    length: usize,
    begin: &'input [u8],
}

/// Splits the input of a method's call.
fn split(shape: Shape, input: &[u8]) -> Result<(&[u8], Written<'_>), ErrorText> {
    let sizes = Frame::sizes_of_packed(shape, input);
    let parts = sizes.and_then(|(arguments, length)| Some((input.split_at_checked(arguments)?, length)));
    match parts {
        Some(((arguments, begin), length)) if begin.len() <= length => Ok((arguments, Written { length, begin })),
        _ => Err(error_text!(
            "{} bytes of input, expected the packed form of the method's arguments; see docs/live.md",
            input.len()
        )),
    }
}
