//! The messages between the two sides of a channel.
//!
//! The child is not trusted: an invalid message is read as `None`.

use std::sync::atomic::AtomicU64;

use bareflow_abi::header::NAME_SIZE;
use bareflow_loader::diagnosis::callers::CALLERS;
use bareflow_loader::diagnosis::{CODE_SIZE, Callers, Diagnosis, MESSAGE_SIZE, PanicMessage, SERVICE_CALLS};
use bareflow_loader::diagnosis::{ServiceCall, ServiceLog, Text};
use bareflow_loader::{CallOutcome, Fault, FaultKind, PeakUse};

use super::codec::Codec;

/// A message from the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParentMessage {
    /// Make a call by the module with a number, with the address and length of input and output.
    Call { entry: u64, reason: u32, caller: u32, input: (u64, u64), output: (u64, u64) },
    /// The line was logged; continue.
    Continue,
    /// The offsets, in the channel's data, for the input and output of a call of another module.
    Room { input: u64, output: u64 },
    /// Report how much stack and heap calls have used so far.
    Peak,
    /// Copy bytes between the module's data and the channel's, by their addresses.
    Copy { from: u64, to: u64, length: u64 },
    /// Note the size of the linear memory, in bytes, in the module's data as well.
    MemorySize(u64),
    /// The answer to a request for more linear memory: the number of pages before, or that it stays; and its size in bytes.
    Grown { before: u64, bytes: u64 },
    /// The shape of an import's method, as bits; or the error for which there is none, as a reply's status.
    Shape { bits: u32, status: u64 },
    /// Whether the bytes lie in a region that the module has open.
    Found(bool),
    /// The end of a call of a method.
    Invoked { status: u64, value: u64 },
    /// The end of a call of another module: the status, and the outcome if it returned.
    Called { status: u32, outcome: CallOutcome },
}

/// A message from the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "it lives for a moment, where nothing can be allocated")]
pub(crate) enum ChildMessage {
    /// The child is sandboxed, or did what it was to do, and waits for calls.
    Ready,
    /// Log a line with this number of bytes.
    Log(u64),
    /// The call returned.
    Returned(CallOutcome),
    /// Call the module `name`, with `input` bytes of input and room for `output` bytes of output.
    Call { name: [u8; NAME_SIZE], input: u64, output: u64 },
    /// Tell the shape of an import's method, both by their numbers.
    Shape { import: u32, method: u32 },
    /// Call a method, whose packed frame has so many bytes of input and output.
    Invoke { import: u32, method: u32, input: u64, output: u64 },
    /// Tell whether bytes lie in a region that the module has open, and may pass on; `to_write`: one to be written.
    Find { address: u64, length: u64, to_write: bool },
    /// Add pages to the linear memory.
    Grow(u64),
    /// The input for the other module was written to its offset.
    Passed,
    /// The most stack and heap that calls have used.
    Peak(PeakUse),
    /// The call faulted.
    Faulted(Fault, Option<Diagnosis>),
}

impl ParentMessage {
    /// Writes the message into `words`.
    pub fn write(&self, words: &[AtomicU64]) {
        let mut words = Codec::of(words);
        match *self {
            ParentMessage::Continue => words.put(0),
            ParentMessage::Peak => words.put(4),
            ParentMessage::Copy { from, to, length } => words.put_all([8, from, to, length]),
            ParentMessage::MemorySize(bytes) => words.put_all([9, bytes]),
            ParentMessage::Grown { before, bytes } => words.put_all([10, before, bytes]),
            ParentMessage::Room { input, output } => words.put_all([2, input, output]),
            ParentMessage::Shape { bits, status } => words.put_all([5, bits.into(), status]),
            ParentMessage::Found(is_there) => words.put_all([7, is_there.into()]),
            ParentMessage::Invoked { status, value } => words.put_all([6, status, value]),
            ParentMessage::Called { status, outcome } => {
                words.put_all([3, status.into()]);
                put_outcome(&mut words, outcome);
            }
            ParentMessage::Call { entry, reason, caller, input, output } => {
                words.put_all([1, entry, reason.into(), caller.into(), input.0, input.1, output.0, output.1]);
            }
        }
    }

    /// Reads a message.
    pub fn read(words: &[AtomicU64]) -> Option<ParentMessage> {
        let mut words = Codec::of(words);
        match words.get()? {
            0 => Some(ParentMessage::Continue),
            4 => Some(ParentMessage::Peak),
            1 => {
                let [entry, reason, caller, input, input_length, output, output_length] = words.get_all()?;
                let (reason, caller) = (reason.try_into().ok()?, caller.try_into().ok()?);
                Some(ParentMessage::Call {
                    entry,
                    reason,
                    caller,
                    input: (input, input_length),
                    output: (output, output_length),
                })
            }
            2 => {
                let [input, output] = words.get_all()?;
                Some(ParentMessage::Room { input, output })
            }
            5 => {
                let [bits, status] = words.get_all()?;
                Some(ParentMessage::Shape { bits: bits.try_into().ok()?, status })
            }
            6 => {
                let [status, value] = words.get_all()?;
                Some(ParentMessage::Invoked { status, value })
            }
            7 => Some(ParentMessage::Found(words.get()? != 0)),
            8 => {
                let [from, to, length] = words.get_all()?;
                Some(ParentMessage::Copy { from, to, length })
            }
            9 => Some(ParentMessage::MemorySize(words.get()?)),
            10 => {
                let [before, bytes] = words.get_all()?;
                Some(ParentMessage::Grown { before, bytes })
            }
            3 => {
                let status = words.get()?.try_into().ok()?;
                Some(ParentMessage::Called { status, outcome: get_outcome(&mut words)? })
            }
            _ => None,
        }
    }
}

impl ChildMessage {
    /// Writes the message into `words`.
    pub fn write(&self, words: &[AtomicU64]) {
        let mut words = Codec::of(words);
        match self {
            ChildMessage::Ready => words.put(0),
            ChildMessage::Log(length) => words.put_all([1, *length]),
            ChildMessage::Returned(outcome) => {
                words.put(2);
                put_outcome(&mut words, *outcome);
            }
            ChildMessage::Call { name, input, output } => {
                words.put_all([4, *input, *output]);
                words.put_bytes(name);
            }
            ChildMessage::Shape { import, method } => words.put_all([7, (*import).into(), (*method).into()]),
            ChildMessage::Invoke { import, method, input, output } => {
                words.put_all([8, (*import).into(), (*method).into(), *input, *output]);
            }
            ChildMessage::Find { address, length, to_write } => {
                words.put_all([9, *address, *length, (*to_write).into()]);
            }
            ChildMessage::Grow(pages) => words.put_all([10, *pages]),
            ChildMessage::Passed => words.put(5),
            ChildMessage::Peak(peak) => {
                words.put(6);
                words.put_option(peak.stack_bytes);
                words.put_option(peak.heap_bytes);
            }
            ChildMessage::Faulted(fault, diagnosis) => {
                words.put(3);
                put_fault(&mut words, fault);
                words.put(diagnosis.is_some().into());
                diagnosis.iter().for_each(|diagnosis| put_diagnosis(&mut words, diagnosis));
            }
        }
    }

    /// Reads a message.
    pub fn read(words: &[AtomicU64]) -> Option<ChildMessage> {
        let mut words = Codec::of(words);
        match words.get()? {
            0 => Some(ChildMessage::Ready),
            1 => Some(ChildMessage::Log(words.get()?)),
            2 => Some(ChildMessage::Returned(get_outcome(&mut words)?)),
            4 => {
                let [input, output] = words.get_all()?;
                Some(ChildMessage::Call { name: words.get_bytes()?, input, output })
            }
            10 => Some(ChildMessage::Grow(words.get()?)),
            5 => Some(ChildMessage::Passed),
            7 => {
                let [import, method] = words.get_all()?;
                Some(ChildMessage::Shape { import: import.try_into().ok()?, method: method.try_into().ok()? })
            }
            8 => {
                let [import, method, input, output] = words.get_all()?;
                let (import, method) = (import.try_into().ok()?, method.try_into().ok()?);
                Some(ChildMessage::Invoke { import, method, input, output })
            }
            9 => {
                let [address, length, to_write] = words.get_all()?;
                Some(ChildMessage::Find { address, length, to_write: to_write != 0 })
            }
            6 => {
                Some(ChildMessage::Peak(PeakUse { stack_bytes: words.get_option()?, heap_bytes: words.get_option()? }))
            }
            3 => {
                let fault = get_fault(&mut words)?;
                let diagnosis = if words.get()? == 0 { None } else { Some(get_diagnosis(&mut words)?) };
                Some(ChildMessage::Faulted(fault, diagnosis))
            }
            _ => None,
        }
    }
}

fn put_outcome(words: &mut Codec<'_>, CallOutcome { result, output_length }: CallOutcome) {
    words.put_all([u64::from(result.cast_unsigned()), output_length as u64]);
}

fn get_outcome(words: &mut Codec<'_>) -> Option<CallOutcome> {
    let [result, length] = words.get_all()?;
    let result = u32::try_from(result).ok()?.cast_signed();
    Some(CallOutcome { result, output_length: length.try_into().ok()? })
}

fn put_fault(words: &mut Codec<'_>, fault: &Fault) {
    let kind = FaultKind::ALL.iter().position(|&kind| kind == fault.kind);
    words.put(kind.unwrap_or(usize::MAX) as u64);
    words.put_option(fault.offset);
    words.put_option(fault.address);
}

fn get_fault(words: &mut Codec<'_>) -> Option<Fault> {
    let kind = *FaultKind::ALL.get(usize::try_from(words.get()?).ok()?)?;
    Some(Fault { kind, offset: words.get_option()?, address: words.get_option()? })
}

fn put_diagnosis(words: &mut Codec<'_>, diagnosis: &Diagnosis) {
    words.put_all(diagnosis.registers);
    words.put_bytes(&diagnosis.code);
    words.put(diagnosis.code_length as u64);
    let calls = diagnosis.services.calls();
    words.put(calls.len() as u64);
    for call in calls {
        words.put_all([call.service.into(), call.arguments[0], call.arguments[1]]);
    }
    words.put(diagnosis.panic.is_some().into());
    if let Some(panic) = &diagnosis.panic {
        for text in [panic.message, panic.file] {
            words.put(text.is_cut().into());
            let text = text.bytes();
            let mut bytes = [0; MESSAGE_SIZE];
            bytes.iter_mut().zip(text).for_each(|(target, byte)| *target = *byte);
            words.put(text.len() as u64);
            words.put_bytes(&bytes);
        }
        words.put(panic.line.into());
    }
    words.put_option(diagnosis.heap_request);
    let callers = diagnosis.callers.offsets();
    words.put(callers.len() as u64);
    callers.iter().for_each(|&offset| words.put(offset));
}

fn get_diagnosis(words: &mut Codec<'_>) -> Option<Diagnosis> {
    let registers = words.get_all()?;
    let code = words.get_bytes()?;
    let code_length = usize::try_from(words.get()?).ok().filter(|&length| length <= CODE_SIZE)?;
    let mut services = ServiceLog::EMPTY;
    let calls = words.get().filter(|&calls| calls <= SERVICE_CALLS as u64)?;
    for _ in 0..calls {
        let [service, first, second] = words.get_all()?;
        services.push(ServiceCall { service: service.try_into().ok()?, arguments: [first, second] });
    }
    let panic = if words.get()? == 0 { None } else { Some(get_panic(words)?) };
    let heap_request = words.get_option()?;
    let mut callers = Callers::NONE;
    for _ in 0..words.get().filter(|&count| count <= CALLERS as u64)? {
        callers.push(words.get()?);
    }
    Some(Diagnosis { registers, code, code_length, services, panic, heap_request, callers, function: None })
}

fn get_panic(words: &mut Codec<'_>) -> Option<PanicMessage> {
    let mut text = || {
        let is_cut = words.get()? != 0;
        let length = usize::try_from(words.get()?).ok()?;
        Some(Text::new(words.get_bytes::<MESSAGE_SIZE>()?.get(..length)?).cut(is_cut))
    };
    let (message, file) = (text()?, text()?);
    Some(PanicMessage { message, file, line: words.get()?.try_into().ok()? })
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
