//! What modules may ask of this process.

use std::arch::global_asm;
use std::arch::x86_64::_rdtsc;

use bareflow_abi::Context;
use bareflow_abi::header::{SERVICE_CALL, SERVICE_CLOCK, SERVICE_LOG};
use bareflow_loader::diagnosis::ServiceCall;
use bareflow_loader::{Fault, FaultKind};

use crate::activation::Activation;
use crate::trampoline;

/// The services there are.
pub(crate) const OFFERED: u32 = SERVICE_LOG | SERVICE_CLOCK | SERVICE_CALL;

/// Longest line a module may log, in bytes.
pub(crate) const MAX_LINE: usize = 4096;

unsafe extern "C" {
    pub(crate) safe fn bareflow_host_log(context: *mut Context<'_>, text: *const u8, length: usize);
    pub(crate) safe fn bareflow_host_told_clock(context: *mut Context<'_>) -> u64;
    fn bareflow_host_service_end();
}

/// How every service begins: the module's stack pointer is noted, our own stack is there, and so is what compiled code
/// relies on, whatever the module did (System V ABI 3.2.1): the flags for direction, nested tasks and alignment are clear.
/// `rax` is used up.
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

pub(crate) use enter_service;

// A service runs on our own stack, below what the trampoline saved there: how much of
// the module's stack is left is no concern of our code. A module that has no
// room for the two words here overflows by itself.
//
// Where the service says that the call is at its end, nothing is left on our
// stack, the registers are the module's again but for the one with the result,
// and an instruction that faults has the signal handler do the rest.
global_asm!(
    ".global bareflow_host_log",
    ".global bareflow_host_service_end",
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
    // The embedder's clock, which is told from our own stack as well.
    ".global bareflow_host_told_clock",
    "bareflow_host_told_clock:",
    enter_service!(),
    "call {told}",
    "mov rsp, rbp",
    "pop rbp",
    "ret",
    "bareflow_host_service_end:",
    "ud2",
    log = sym log,
    told = sym tell_time,
);

/// Where a service ends that ends the call.
pub(crate) fn end() -> u64 {
    bareflow_host_service_end as *const () as u64
}

/// Returns whether the call is at its end.
extern "C" fn log(_: *mut Context<'_>, text: *const u8, length: usize) -> u32 {
    let Some(activation) = trampoline::current() else { return 0 };
    let address = text.addr() as u64;
    activation.log_service(ServiceCall { service: SERVICE_LOG, arguments: [address, length as u64] });
    match line(activation, text, length) {
        Some(bytes) => activation.thread().log_sink.forward(activation.module(), bytes),
        None => {
            let fault = Fault { kind: FaultKind::BadServiceArgument, offset: None, address: Some(address) };
            activation.set_fault(fault);
        }
    }
    activation.leave_service().into()
}

/// The bytes that the module logs, if they are its own to pass on and not too many.
fn line(activation: &Activation, text: *const u8, length: usize) -> Option<&[u8]> {
    // No text at all has no address that means anything.
    if length == 0 {
        return Some(&[]);
    }
    let may = length <= MAX_LINE && activation.may_read(text.addr() as u64, length as u64);
    // SAFETY: the bytes were just found to lie in memory of the module, which is mapped and waits.
    may.then(|| unsafe { std::slice::from_raw_parts(text, length) })
}

/// What the embedder's clock says.
extern "C" fn tell_time() -> u64 {
    let Some(activation) = trampoline::current() else { return 0 };
    let time = activation.thread().clock.as_ref().map_or(0, |clock| clock());
    // Where the call is at its end, its next service or the watchdog ends it.
    activation.leave_service();
    time
}

pub(crate) extern "C" fn clock(_: *mut Context<'_>) -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and Linux lets processes use it.
    unsafe { _rdtsc() }
}
