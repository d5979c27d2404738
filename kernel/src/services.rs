//! The services that modules may call: in ring 0 directly, in ring 3 by `syscall`, through the same table.

mod call;
pub mod undeclared;

use core::arch::global_asm;
use core::mem::offset_of;

use bareflow_abi::header::{SERVICE_CALL, SERVICE_CLOCK, SERVICE_LOG};
use bareflow_abi::{CallArguments, CallRefusal, Context, Services};
use bareflow_loader::diagnosis::{Diagnosis, ServiceCall};
use bareflow_loader::report::Style;
use bareflow_loader::{Fault, FaultKind, Printable};

use crate::memory::layout::user::{STUB_SIZE, STUBS, SYSCALL_SIZE};
use crate::serve::preempt;
use crate::trampoline::{self, Activation};
use crate::traps::{TrapFrame, defer_to_kernel_stack, diagnose, leave_module};
use crate::{clock, console, recorder};

/// The services that the kernel offers.
pub const OFFERED: u32 = SERVICE_LOG | SERVICE_CLOCK | SERVICE_CALL;

/// The numbers of the stubs in their page.
const RETURN_STUB: u64 = 0;
const LOG_STUB: u64 = 1;
const CLOCK_STUB: u64 = 2;
const CALL_STUB: u64 = 3;

/// The number of stubs.
const STUB_COUNT: u64 = 4;

/// `syscall; ret`
const STUB: [u8; 3] = [0x0f, 0x05, 0xc3];

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
    let Some(activation) = trampoline::current() else { return };
    let done = log(activation, text as u64, length as u64, caller);
    preempt::behind_service_in_ring_0();
    if let Some(fault) = done.err().or_else(|| trampoline::requested_abort(activation)) {
        let diagnosis = Diagnosis { services: activation.services(), ..Diagnosis::at(caller) };
        trampoline::end_call(fault, Some(diagnosis));
    }
}

extern "C" fn call_in_ring_0(_: *mut Context<'_>, arguments: *mut CallArguments<'_>, caller: u64) -> u32 {
    let Some(activation) = trampoline::current() else { return CallRefusal::NotDeclared as u32 };
    let done = call::call(activation, arguments as u64, caller);
    preempt::behind_call();
    if let Some(fault) = done.err().or_else(|| trampoline::requested_abort(activation)) {
        let diagnosis = Diagnosis { services: activation.services(), ..Diagnosis::at(caller) };
        trampoline::end_call(fault, Some(diagnosis));
    }
    // After a fault the call has already ended.
    done.unwrap_or(CallRefusal::NotDeclared as u32)
}

/// Makes the call from ring 3. It runs on the kernel's stack, since the services of other modules use the stack that
/// this `syscall` arrived on.
extern "C" fn call_in_ring_3(frame: &mut TrapFrame) {
    let Some(activation) = trampoline::current() else { return };
    let fault = match call::call(activation, frame.rsi, caller(activation, frame)) {
        Ok(status) => {
            frame.rax = status.into();
            None
        }
        Err(fault) => Some(fault),
    };
    preempt::behind_call();
    end_if_at_fault(frame, activation, fault);
}

/// Returns the time and records it, where the run is recorded. It runs on the kernel's stack.
extern "C" fn tell_and_record_time() -> u64 {
    let now = clock::now();
    recorder::note_clock(now);
    preempt::behind_service_in_ring_0();
    now
}

extern "C" fn tell_time(_: *mut Context<'_>) -> u64 {
    clock::now()
}

/// Returns the address after a stub's `syscall`.
const fn stub(number: u64) -> u64 {
    STUBS + number * STUB_SIZE + SYSCALL_SIZE
}

/// Handles a `syscall` in ring 3.
pub fn handle_syscall(frame: &mut TrapFrame) {
    let Some(activation) = trampoline::current() else { return };
    if let Some(service) =
        undeclared::service_of(frame.rip, activation.image().services).filter(|_| activation.is_user())
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
            recorder::note_clock(frame.rax);
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
        preempt::behind_service(frame, activation);
    }
}

/// Ends the call after a service if that found a fault, or the call must end anyway; returns whether it does.
fn end_if_at_fault(frame: &mut TrapFrame, activation: &Activation, fault: Option<Fault>) -> bool {
    let Some(fault) = fault.or_else(|| trampoline::requested_abort(activation)) else { return false };
    let diagnosis = diagnose(frame, activation, &fault);
    leave_module(frame, fault, Some(diagnosis));
    true
}

/// Returns the address from which a stub was called: the word on top of the module's stack.
fn caller(activation: &Activation, frame: &TrapFrame) -> u64 {
    let word = activation.bytes(frame.rsp, 8).and_then(|bytes| bytes.try_into().ok());
    word.map_or(0, u64::from_le_bytes)
}

/// Logs a line of a module on the console.
fn log(activation: &Activation, address: u64, length: u64, caller: u64) -> Result<(), Fault> {
    activation.log_service(ServiceCall { service: SERVICE_LOG, arguments: [address, length] });
    match activation.bytes(address, length).filter(|bytes| bytes.len() <= MAX_LINE) {
        Some(bytes) => {
            recorder::note_log(bytes);
            console::show(Style::Plain, format_args!("  [LOG] {}: {}\n", activation.module(), Printable(bytes)));
            Ok(())
        }
        None => {
            let offset = activation.image().segments.offset_of(caller);
            Err(Fault { kind: FaultKind::BadServiceArgument, offset, address: Some(address) })
        }
    }
}

/// Returns the page of stubs: the one that ends a call, and those of `log`, `clock` and `call`.
pub fn fill_stubs() -> [u8; (STUB_COUNT * STUB_SIZE) as usize] {
    let mut page = [0xcc; (STUB_COUNT * STUB_SIZE) as usize];
    for number in [RETURN_STUB, LOG_STUB, CLOCK_STUB, CALL_STUB] {
        let start = (number * STUB_SIZE) as usize;
        if let Some(target) = page.get_mut(start..start + STUB.len()) {
            target.copy_from_slice(&STUB);
        }
    }
    page
}

/// Returns the table of services as modules in ring 3 see it.
pub fn fill_table() -> [u8; size_of::<Services>()] {
    let mut table = [0; size_of::<Services>()];
    let mut put = |offset: usize, bytes: &[u8]| {
        if let Some(target) = table.get_mut(offset..offset + bytes.len()) {
            target.copy_from_slice(bytes);
        }
    };
    put(offset_of!(Services, size), &(size_of::<Services>() as u32).to_le_bytes());
    put(offset_of!(Services, log), &(STUBS + LOG_STUB * STUB_SIZE).to_le_bytes());
    put(offset_of!(Services, clock), &(STUBS + CLOCK_STUB * STUB_SIZE).to_le_bytes());
    put(offset_of!(Services, call), &(STUBS + CALL_STUB * STUB_SIZE).to_le_bytes());
    table
}
