//! The services for modules in this process.

mod nested;
mod undeclared;

use std::arch::global_asm;
use std::arch::x86_64::_rdtsc;

use bareflow_abi::Context;
use bareflow_abi::header::{SERVICE_CALL, SERVICE_CLOCK, SERVICE_LOG};
use bareflow_loader::diagnosis::ServiceCall;
use bareflow_loader::{Fault, FaultKind};

use crate::call::trampoline;

/// The services that this platform offers.
pub(crate) const OFFERED: u32 = SERVICE_LOG | SERVICE_CLOCK | SERVICE_CALL;

/// The longest line that a module may log, in bytes.
pub(crate) const MAX_LINE: usize = 4096;

unsafe extern "C" {
    fn bareflow_host_log(context: *mut Context<'_>, text: *const u8, length: usize);
    fn bareflow_host_told_clock(context: *mut Context<'_>) -> u64;
}

/// The code at the start of every service.
///
/// It records the module's stack pointer, switches to our own stack, and establishes what compiled code relies on,
/// whatever the module did (System V ABI 3.2.1): the flags DF, NT and AC are clear. It clobbers `rax`.
macro_rules! enter_service {
    () => {
        "push rbp
        mov rbp, rsp
        mov rax, [rip + bareflow_host_record@GOTTPOFF]
        mov rax, fs:[rax]
        mov [rax + 16], rsp
        mov rsp, [rax]
        and rsp, -16
        pushfq
        and dword ptr [rsp], 0xfffbbbff
        popfq"
    };
}

use enter_service;
pub(crate) use undeclared::table_of;

// A service runs on our own stack, below the registers that the trampoline saved, so it does not matter how much of the
// module's stack is left. If the module has no room for the two words pushed here, the overflow is its own fault.
//
// If the service says that the call ends, nothing is left on our stack, all registers but the one with the result are
// the module's again, and an instruction that faults makes the signal handler do the rest.
global_asm!(
    ".global bareflow_host_log",
    "bareflow_host_log:",
    enter_service!(),
    "push rdi",
    "push rsi",
    "push rdx",
    "push rcx",
    "call {log}",
    "pop rcx",
    "pop rdx",
    "pop rsi",
    "pop rdi",
    "mov rsp, rbp",
    "pop rbp",
    "test eax, eax",
    "jnz bareflow_host_service_end",
    "ret",
    // The embedder's clock, which is read on our own stack, too.
    ".global bareflow_host_told_clock",
    "bareflow_host_told_clock:",
    enter_service!(),
    "call {told}",
    "mov rsp, rbp",
    "pop rbp",
    "ret",
    log = sym log,
    told = sym tell_time,
);

/// Logs a line. Returns whether the call ends.
extern "C" fn log(_: *mut Context<'_>, text: *const u8, length: usize) -> u32 {
    let Some(activation) = trampoline::current() else { return 0 };
    let address = text.addr() as u64;
    activation.log_service(ServiceCall { service: SERVICE_LOG, arguments: [address, length as u64] });
    match activation.bytes(text, length).filter(|bytes| bytes.len() <= MAX_LINE) {
        Some(bytes) => activation.thread().log_sink.forward(activation.module(), bytes),
        None => {
            let fault = Fault { kind: FaultKind::BadServiceArgument, offset: None, address: Some(address) };
            activation.set_fault(fault);
        }
    }
    activation.leave_service().into()
}

/// Returns the embedder's clock's reading.
extern "C" fn tell_time() -> u64 {
    let Some(activation) = trampoline::current() else { return 0 };
    let time = activation.thread().clock.as_ref().map_or(0, |clock| clock());
    // If the call is to end, its next service or the watchdog ends it.
    activation.leave_service();
    time
}

extern "C" fn clock(_: *mut Context<'_>) -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and Linux lets processes use it.
    unsafe { _rdtsc() }
}
