//! The service by which a module calls another one.
//!
//! All that the module passes on must be its own, and results are written only where the module itself may write.

use std::arch::global_asm;
use std::mem::offset_of;
use std::ops::Range;

use bareflow_abi::call::CALL_OK;
use bareflow_abi::header::SERVICE_CALL;
use bareflow_abi::{CallArguments, CallRefusal, Context};
use bareflow_loader::diagnosis::ServiceCall;
use bareflow_loader::{CallOutcome, Fault, FaultKind};

use super::enter_service;
use crate::call::{Activation, LogSink, trampoline};
use crate::sandbox;

/// The bit above the status that says that the call ends.
const AT_ITS_END: u64 = 1 << 32;

unsafe extern "C" {
    /// The service's entry.
    pub(super) fn bareflow_host_call(context: *mut Context<'_>, arguments: *mut CallArguments<'_>) -> u32;
}

// Like `bareflow_host_log`. Another module's code runs during this call, so the control words are set to the values
// that it may rely on, and restored for the caller afterwards (System V ABI 3.2.1).
global_asm!(
    ".global bareflow_host_call",
    "bareflow_host_call:",
    enter_service!(),
    "push rdi",
    "push rsi",
    "push rdx",
    "push rcx",
    "sub rsp, 16",
    "stmxcsr [rsp]",
    "fnstcw [rsp + 4]",
    "mov dword ptr [rsp + 8], 0x1f80",
    "ldmxcsr [rsp + 8]",
    "fninit",
    "call {call}",
    // Clears exceptions of the other module, which the caller's control words might unmask.
    "fninit",
    "fldcw [rsp + 4]",
    "ldmxcsr [rsp]",
    "add rsp, 16",
    "pop rcx",
    "pop rdx",
    "pop rsi",
    "pop rdi",
    "mov rsp, rbp",
    "pop rbp",
    "bt rax, 32",
    "jc bareflow_host_service_end",
    "ret",
    call = sym serve,
);

/// Returns the status, and whether the call ends.
extern "C" fn serve(_: *mut Context<'_>, arguments: *mut CallArguments<'_>) -> u64 {
    let Some(activation) = trampoline::current() else { return CallRefusal::NotDeclared as u64 };
    let address = arguments.addr() as u64;
    activation.log_service(ServiceCall { service: SERVICE_CALL, arguments: [address, 0] });
    let status = call(activation, arguments).unwrap_or_else(|address| {
        let fault = Fault { kind: FaultKind::BadServiceArgument, offset: None, address: Some(address) };
        activation.set_fault(fault);
        0
    });
    let end = if activation.leave_service() { AT_ITS_END } else { 0 };
    end | u64::from(status)
}

/// Makes the call.
///
/// # Errors
/// The address that the module may not pass on.
fn call(activation: &Activation, arguments: *mut CallArguments<'_>) -> Result<u32, u64> {
    let (address, size) = (arguments.addr() as u64, size_of::<CallArguments<'_>>() as u64);
    if !activation.may_write(address, size) {
        return Err(address);
    }
    // SAFETY: `may_write` just found that the module's memory is mapped there, and any bytes are valid arguments.
    let given = unsafe { arguments.read_unaligned() };
    let bytes = |start: *const u8, length| activation.bytes(start, length).ok_or(start.addr() as u64);
    let name = bytes(given.name, given.name_length)?;
    let input = bytes(given.input, given.input_length)?;
    let (start, capacity) = (given.output.addr() as u64, given.output_capacity);
    let own = start..start.saturating_add(capacity as u64);
    let output: &mut [u8] = if capacity == 0 {
        &mut []
    } else {
        let others = [address..address + size, range(name), range(input)];
        if !activation.may_write(start, capacity as u64) || others.iter().any(|other| overlap(&own, other)) {
            return Err(start);
        }
        // SAFETY: `may_write` just found that the bytes are mapped and writable for the module only, which waits;
        // nothing else that is read during the call overlaps them, as was just checked.
        unsafe { std::slice::from_raw_parts_mut(given.output, capacity) }
    };
    let done = match (&activation.thread().log_sink, activation.callees()) {
        (LogSink::Parent(channel), _) => sandbox::call(channel, activation, name, input, output),
        (LogSink::Log(_), Some(callees)) => {
            let paused = activation.thread().watch_slot.pause();
            let done = callees.call(name, input, output);
            activation.leave_out(activation.thread().watch_slot.resume(paused));
            done
        }
        (LogSink::Log(_), None) => Err(CallRefusal::NotDeclared),
    };
    Ok(match done {
        Ok(outcome) => {
            fill_in(arguments, outcome);
            CALL_OK
        }
        Err(refused) => refused as u32,
    })
}

/// Writes a call's outcome into the arguments, which the module may write.
fn fill_in(arguments: *mut CallArguments<'_>, outcome: CallOutcome) {
    let length = arguments.wrapping_byte_add(offset_of!(CallArguments<'_>, output_length));
    let result = arguments.wrapping_byte_add(offset_of!(CallArguments<'_>, result));
    // SAFETY: both fields lie in the arguments, which `call` found to be writable for the module; it still waits.
    unsafe {
        length.cast::<usize>().write_unaligned(outcome.output_length);
        result.cast::<i32>().write_unaligned(outcome.result);
    }
}

/// Returns the addresses of bytes.
fn range(bytes: &[u8]) -> Range<u64> {
    let start = bytes.as_ptr() as u64;
    start..start + bytes.len() as u64
}

/// Whether two ranges overlap. The first must not be empty.
fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    !other.is_empty() && one.start < other.end && other.start < one.end
}
