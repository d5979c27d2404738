//! The services that modules may call: in ring 0 directly, in ring 3 by `syscall`, through the same table.

mod nested;
pub mod undeclared;

use core::arch::global_asm;

use bareflow_abi::header::{SERVICE_CALL, SERVICE_CLOCK, SERVICE_LOG};
use bareflow_abi::{CallArguments, CallRefusal, Context};
use bareflow_loader::diagnosis::{Diagnosis, ServiceCall};
use bareflow_loader::{Fault, FaultKind};

use crate::call::{self, Activation, defer_to_kernel_stack, diagnose, leave_module, work};
use crate::clock;
use crate::frame::TrapFrame;
use crate::kernel::{kernel, observe};
use crate::layout::user::SYSCALL_SIZE;
use crate::stubs::{CALL_STUB, CLOCK_STUB, LOG_STUB, stub};

/// The services that the kernel offers.
pub const OFFERED: u32 = SERVICE_LOG | SERVICE_CLOCK | SERVICE_CALL;

/// The longest line a module may log, in bytes.
const MAX_LINE: usize = 4096;

unsafe extern "C" {
    fn bareflow_recorded_clock(context: *mut Context<'_>) -> u64;
    fn bareflow_log(context: *mut Context<'_>, text: *const u8, length: usize);
    fn bareflow_call(context: *mut Context<'_>, arguments: *mut CallArguments<'_>) -> u32;
}

// A service runs on the kernel's stack, below what the trampoline saved there, so that it does not depend on the room
// on the module's stack. A module that has no room for the pushed word overflows its own stack.
global_asm!(
    ".global bareflow_log",
    "bareflow_log:",
    "push rbp",
    "mov rbp, rsp",
    "mov rcx, [rsp + 8]",
    // Clear the direction flag as compiled code requires, whatever the module did (System V ABI 3.2.1).
    "cld",
    "mov rax, [rip + bareflow_current_call]",
    "mov rsp, [rax]",
    "and rsp, -16",
    "call {log}",
    "mov rsp, rbp",
    "pop rbp",
    "ret",
    // The same for `clock`, used where the run is recorded.
    ".global bareflow_recorded_clock",
    "bareflow_recorded_clock:",
    "push rbp",
    "mov rbp, rsp",
    "cld",
    "mov rax, [rip + bareflow_current_call]",
    "mov rsp, [rax]",
    "and rsp, -16",
    "call {clock}",
    "mov rsp, rbp",
    "pop rbp",
    "ret",
    // The same for `call`. Code of another module runs during it, so flags and control words are set as that code may
    // expect, and the control words are restored for the caller (System V ABI 3.2.1).
    ".global bareflow_call",
    "bareflow_call:",
    "push rbp",
    "mov rbp, rsp",
    "mov rdx, [rsp + 8]",
    "mov rax, [rip + bareflow_current_call]",
    "mov rsp, [rax]",
    "and rsp, -16",
    "push 0x202",
    "popfq",
    "clts",
    // The caller must not mask the timer for it either.
    "xor eax, eax",
    "mov cr8, rax",
    "sub rsp, 16",
    "stmxcsr [rsp]",
    "fnstcw [rsp + 4]",
    "mov dword ptr [rsp + 8], 0x1f80",
    "ldmxcsr [rsp + 8]",
    "fninit",
    "call {call}",
    // Clear the other module's pending exceptions, which the caller's control words could unmask.
    "fninit",
    "fldcw [rsp + 4]",
    "ldmxcsr [rsp]",
    "mov rsp, rbp",
    "pop rbp",
    "ret",
    clock = sym tell_and_record_time,
    log = sym log_in_ring_0,
    call = sym call_in_ring_0,
);

extern "C" fn log_in_ring_0(_: *mut Context<'_>, text: *const u8, length: usize, caller: u64) {
    let Some(activation) = call::current() else { return };
    let done = log(activation, text as u64, length as u64, caller);
    work::behind_service_in_ring_0();
    if let Some(fault) = done.err().or_else(|| call::requested_abort(activation)) {
        end_at_fault(activation, fault, caller);
    }
}

extern "C" fn call_in_ring_0(_: *mut Context<'_>, arguments: *mut CallArguments<'_>, caller: u64) -> u32 {
    let Some(activation) = call::current() else { return CallRefusal::NotDeclared as u32 };
    let done = nested::call(activation, arguments as u64, caller);
    work::behind_call();
    if let Some(fault) = done.err().or_else(|| call::requested_abort(activation)) {
        end_at_fault(activation, fault, caller);
    }
    // After a fault the call has already ended.
    done.unwrap_or(CallRefusal::NotDeclared as u32)
}

/// Ends the call of a module in ring 0 that called a service from `caller`.
fn end_at_fault(activation: &Activation, fault: Fault, caller: u64) {
    let diagnosis = Diagnosis { services: activation.services(), ..Diagnosis::at(caller) };
    call::end_call(fault, Some(diagnosis));
}

/// Makes the call from ring 3. It runs on the kernel's stack, since the services of other modules use the stack that
/// this `syscall` arrived on.
extern "C" fn call_in_ring_3(frame: &mut TrapFrame) {
    let Some(activation) = call::current() else { return };
    let fault = match nested::call(activation, frame.rsi, caller(activation, frame)) {
        Ok(status) => {
            frame.rax = status.into();
            None
        }
        Err(fault) => Some(fault),
    };
    work::behind_call();
    end_if_at_fault(frame, activation, fault);
}

/// Returns the time and records it, where the run is recorded. It runs on the kernel's stack.
extern "C" fn tell_and_record_time() -> u64 {
    let now = clock::now();
    observe(|observer| observer.note_clock(now));
    work::behind_service_in_ring_0();
    now
}

extern "C" fn tell_time(_: *mut Context<'_>) -> u64 {
    clock::now()
}

/// Handles a `syscall` in ring 3.
pub fn handle_syscall(frame: &mut TrapFrame) {
    let Some(activation) = call::current() else { return };
    if let Some(service) =
        undeclared::service_of(frame.rip, activation.image().declared).filter(|_| activation.is_user())
    {
        let call = ServiceCall { service, arguments: [frame.rsi, frame.rdx] };
        let fault = undeclared::fault(activation, call, caller(activation, frame));
        end_if_at_fault(frame, activation, Some(fault));
        return;
    }
    let fault = match frame.rip {
        rip if activation.is_user() && rip == stub(LOG_STUB) => {
            log(activation, frame.rsi, frame.rdx, caller(activation, frame)).err()
        }
        rip if activation.is_user() && rip == stub(CLOCK_STUB) => {
            activation.log_service(ServiceCall { service: SERVICE_CLOCK, arguments: [0; 2] });
            frame.rax = clock::now();
            observe(|observer| observer.note_clock(frame.rax));
            None
        }
        rip if activation.is_user() && rip == stub(CALL_STUB) => {
            return defer_to_kernel_stack(frame, activation, call_in_ring_3);
        }
        // Only the stubs may execute the instruction.
        rip => {
            let rip = rip.wrapping_sub(SYSCALL_SIZE);
            frame.rip = rip;
            Some(Fault {
                kind: FaultKind::GeneralProtection,
                offset: activation.image().segments.offset_of(rip),
                address: None,
            })
        }
    };
    if !end_if_at_fault(frame, activation, fault) {
        work::behind_service(frame, activation);
    }
}

/// Ends the call after a service if that found a fault, or the call must end anyway; returns whether it does.
fn end_if_at_fault(frame: &mut TrapFrame, activation: &Activation, fault: Option<Fault>) -> bool {
    let Some(fault) = fault.or_else(|| call::requested_abort(activation)) else { return false };
    let diagnosis = diagnose(frame, activation, &fault);
    leave_module(frame, fault, Some(diagnosis));
    true
}

/// Returns the address from which a stub was called: the word on top of the module's stack.
fn caller(activation: &Activation, frame: &TrapFrame) -> u64 {
    let word = activation.bytes(frame.rsp, 8).and_then(|bytes| bytes.try_into().ok());
    word.map_or(0, u64::from_le_bytes)
}

/// Logs a line of a module.
fn log(activation: &Activation, address: u64, length: u64, caller: u64) -> Result<(), Fault> {
    activation.log_service(ServiceCall { service: SERVICE_LOG, arguments: [address, length] });
    match activation.bytes(address, length).filter(|bytes| bytes.len() <= MAX_LINE) {
        Some(bytes) => {
            observe(|observer| observer.note_log(bytes));
            kernel().log(activation.module(), bytes);
            Ok(())
        }
        None => {
            let offset = activation.image().segments.offset_of(caller);
            Err(Fault { kind: FaultKind::BadServiceArgument, offset, address: Some(address) })
        }
    }
}
