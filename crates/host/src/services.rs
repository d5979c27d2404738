//! The services for modules in this process.

use std::arch::global_asm;
use std::ffi::c_void;

use bareflow_abi::header::{SERVICE_CALL, SERVICE_CLOCK, SERVICE_GROW, SERVICE_LOG};
use bareflow_abi::interface::{CallError, Frame, Reply, Shape};
use bareflow_abi::memory::CANNOT_GROW;
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
    fn bareflow_host_invoke(embedder: *mut c_void, target: u64, words: *mut u64) -> Reply;
    fn bareflow_host_grow(context: *mut Context<'_>, pages: u64) -> u64;
}

// A service runs on our own stack, below the registers that the trampoline saved, so it does not matter how much of the
// module's stack is left. If the module has no room for the two words pushed here, the overflow is its own fault.
//
// The module's stack pointer is recorded, and what compiled code relies on is established, whatever the module did
// (System V ABI 3.2.1): the flags DF, NT and AC are clear.
//
// If the service says that the call ends, nothing is left on our stack, all registers that may have arguments are the
// module's again, and an instruction that faults makes the signal handler do the rest.
macro_rules! serve_on_own_stack {
    ($serve:literal, $behind:literal) => {
        concat!(
            "push rbp
            mov rbp, rsp
            mov rax, [rip + bareflow_host_record@GOTTPOFF]
            mov rax, fs:[rax]
            mov [rax + 16], rsp
            mov rsp, [rax]
            and rsp, -16
            pushfq
            and dword ptr [rsp], 0xfffbbbff
            popfq
            push rdi
            push rsi
            push rdx
            push rcx
            ",
            call_with_initial_fpu!($serve),
            $behind,
            "
            pop rcx
            pop r9
            pop rsi
            pop rdi
            mov rsp, rbp
            pop rbp
            jz bareflow_host_service_ends
            ret"
        )
    };
}

global_asm!(
    ".global bareflow_host_log",
    ".global bareflow_host_clock",
    ".global bareflow_host_call",
    ".global bareflow_host_invoke",
    ".global bareflow_host_grow",
    "bareflow_host_log:",
    "mov r8d, {log}",
    "jmp 2f",
    "bareflow_host_clock:",
    "mov r8d, {clock}",
    "jmp 2f",
    "bareflow_host_grow:",
    "mov r8d, {grow}",
    "jmp 2f",
    "bareflow_host_call:",
    "mov r8d, {call}",
    "2:",
    serve_on_own_stack!("{serve}", "\ncmp rdx, 1"),
    "bareflow_host_invoke:",
    // The status of a reply is never that of `ENDS`.
    serve_on_own_stack!("{invoke}", "\ncmp rax, -1"),
    // No instruction since the comparison changed the flag.
    "bareflow_host_service_ends:",
    "mov rdx, r9",
    "jmp bareflow_host_service_end",
    log = const SERVICE_LOG,
    clock = const SERVICE_CLOCK,
    call = const SERVICE_CALL,
    grow = const SERVICE_GROW,
    serve = sym serve,
    invoke = sym serve_invoke,
);

/// The tables of services: with the processor's clock, and with one that is undeclared or the embedder's.
static TABLES: [Services; 2] = [
    Services::new(bareflow_host_log, read_clock)
        .with_call(bareflow_host_call)
        .with_invoke(bareflow_host_invoke)
        .with_grow(bareflow_host_grow),
    Services::new(bareflow_host_log, bareflow_host_clock)
        .with_call(bareflow_host_call)
        .with_invoke(bareflow_host_invoke)
        .with_grow(bareflow_host_grow),
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

/// The reply of a call that ends with the service.
const ENDS: Reply = Reply { status: u64::MAX, value: 0 };

/// Calls a method of an import for the module of the running call.
extern "C" fn serve_invoke(_: *mut c_void, target: u64, words: u64) -> Reply {
    let served = trampoline::with_current(|activation| {
        let reply = bareflow_runtime::serve_invoke(activation, target, words).unwrap_or_else(|fault| {
            activation.set_fault(fault);
            ENDS
        });
        if activation.leave_service() { ENDS } else { reply }
    });
    served.unwrap_or(CallError::NotBound.into())
}

impl Activation {
    /// Returns where the `length` bytes are that the module sees at `address`, if they lie in a region that it has open.
    #[cold]
    pub fn find_in_region(&self, address: u64, length: u64, to_write: bool) -> Option<u64> {
        match &self.thread().log_sink {
            LogSink::Parent(channel) if self.image().shares_regions => {
                sandbox::find_in_region(channel, self, address, length, to_write)
            }
            LogSink::Parent(_) => None,
            LogSink::Log(_) => self.callees()?.find_in_region(address, length, to_write),
        }
    }
}

// SAFETY: another module is called, or the parent asked to do that; neither knows this one's memory.
unsafe impl services::ServedCall for Activation {
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

    fn grow(&self, pages: u64) -> u64 {
        let Some(window) = &self.image().window else { return CANNOT_GROW };
        let before = match &self.thread().log_sink {
            LogSink::Parent(channel) => sandbox::grow(channel, self, window, pages),
            LogSink::Log(_) => window.grow(pages),
        };
        if before != CANNOT_GROW {
            self.image().write_memory_size();
        }
        before
    }

    fn shape(&self, import: u32, method: u32) -> Result<Shape, CallError> {
        match (&self.thread().log_sink, self.callees()) {
            (LogSink::Parent(channel), _) => sandbox::shape(channel, self, import, method),
            (LogSink::Log(_), Some(callees)) => callees.shape(import, method),
            (LogSink::Log(_), None) => Err(CallError::NotBound),
        }
    }

    fn invoke(&self, import: u32, method: u32, frame: &mut Frame<'_>) -> Reply {
        match (&self.thread().log_sink, self.callees()) {
            (LogSink::Parent(channel), _) => sandbox::invoke(channel, self, import, method, frame),
            (LogSink::Log(_), Some(callees)) => {
                let paused = self.thread().watch_slot.pause();
                let reply = callees.invoke(import, method, frame);
                self.leave_out(self.thread().watch_slot.resume(paused));
                reply
            }
            (LogSink::Log(_), None) => CallError::NotBound.into(),
        }
    }
}
