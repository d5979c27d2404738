//! The services for modules in this process.

use std::arch::global_asm;

use bareflow_abi::header::{SERVICE_CALL, SERVICE_CLOCK, SERVICE_LOG};
use bareflow_abi::{CallArguments, CallRefusal, Context, Services};
use bareflow_loader::CallOutcome;
use bareflow_runtime::call_with_initial_fpu;
use bareflow_runtime::services::{self, read_clock};

use crate::call::{Activation, LogSink, trampoline};
use crate::sandbox;

unsafe extern "C" {
    fn bareflow_host_log(context: *mut Context<'_>, text: *const u8, length: usize);
    fn bareflow_host_clock(context: *mut Context<'_>) -> u64;
    fn bareflow_host_call(context: *mut Context<'_>, arguments: *mut CallArguments<'_>) -> u32;
}

// A service runs on our own stack, below the registers that the trampoline saved, so it does not matter how much of the
// module's stack is left. If the module has no room for the two words pushed here, the overflow is its own fault.
//
// The module's stack pointer is recorded, and what compiled code relies on is established, whatever the module did
// (System V ABI 3.2.1): the flags DF, NT and AC are clear.
//
// If the service says that the call ends, nothing is left on our stack, all registers that may have arguments are the
// module's again, and an instruction that faults makes the signal handler do the rest.
global_asm!(
    ".global bareflow_host_log",
    ".global bareflow_host_clock",
    ".global bareflow_host_call",
    "bareflow_host_log:",
    "mov r8d, {log}",
    "jmp 2f",
    "bareflow_host_clock:",
    "mov r8d, {clock}",
    "jmp 2f",
    "bareflow_host_call:",
    "mov r8d, {call}",
    "2: push rbp",
    "mov rbp, rsp",
    "mov rax, [rip + bareflow_host_record@GOTTPOFF]",
    "mov rax, fs:[rax]",
    "mov [rax + 16], rsp",
    "mov rsp, [rax]",
    "and rsp, -16",
    "pushfq",
    "and dword ptr [rsp], 0xfffbbbff",
    "popfq",
    "push rdi",
    "push rsi",
    "push rdx",
    "push rcx",
    call_with_initial_fpu!("{serve}"),
    "mov r8, rdx",
    "pop rcx",
    "pop rdx",
    "pop rsi",
    "pop rdi",
    "mov rsp, rbp",
    "pop rbp",
    "test r8, r8",
    "jnz bareflow_host_service_end",
    "ret",
    log = const SERVICE_LOG,
    clock = const SERVICE_CLOCK,
    call = const SERVICE_CALL,
    serve = sym serve,
);

/// The tables of services: with the processor's clock, and with one that is undeclared or the embedder's.
static TABLES: [Services; 2] = [
    Services::new(bareflow_host_log, read_clock).with_call(bareflow_host_call),
    Services::new(bareflow_host_log, bareflow_host_clock).with_call(bareflow_host_call),
];

/// Returns the table for a module that declares `services`, with the embedder's clock if it is `told` the time.
pub(crate) fn table_of(services: u32, told: bool) -> &'static Services {
    &TABLES[usize::from(told || services & SERVICE_CLOCK == 0)]
}

/// The end of a service, in the registers `rax` and `rdx`.
#[repr(C)]
struct Served {
    result: u64,
    /// 1 if the call ends, else 0.
    ends: u64,
}

/// Serves the module of the running call.
extern "C" fn serve(_: *mut Context<'_>, first: u64, second: u64, _: u64, service: u32) -> Served {
    let served = trampoline::with_current(|activation| {
        let result = services::serve(activation, service, [first, second]).unwrap_or_else(|fault| {
            activation.set_fault(fault);
            0
        });
        Served { result, ends: activation.leave_service().into() }
    });
    served.unwrap_or(Served { result: 0, ends: 0 })
}

// SAFETY: another module is called, or the parent asked to do that; neither knows this one's memory.
unsafe impl services::Provider for Activation {
    fn declared(&self) -> u32 {
        self.image().services
    }

    fn log(&self, line: &[u8]) {
        self.thread().log_sink.forward(self.module(), line);
    }

    fn clock(&self) -> u64 {
        self.thread().clock.as_ref().map_or(0, |clock| clock())
    }

    fn call(&self, name: &[u8], input: &[u8], output: &mut [u8]) -> Result<CallOutcome, CallRefusal> {
        match (&self.thread().log_sink, self.callees()) {
            (LogSink::Parent(channel), _) => sandbox::call(channel, self, name, input, output),
            (LogSink::Log(_), Some(callees)) => {
                let paused = self.thread().watch_slot.pause();
                let done = callees.call(name, input, output);
                self.leave_out(self.thread().watch_slot.resume(paused));
                done
            }
            (LogSink::Log(_), None) => Err(CallRefusal::NotDeclared),
        }
    }
}
