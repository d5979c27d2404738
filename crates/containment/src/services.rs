//! The services that modules may call: in ring 0 directly, in ring 3 by `syscall`, through the same table.

use core::arch::global_asm;
use core::ffi::c_void;
use core::mem::offset_of;

use bareflow_abi::header::{SERVICE_CALL, SERVICE_CLOCK, SERVICE_GROW, SERVICE_LOG};
use bareflow_abi::interface::{CallError, Frame, Reply, Shape};
use bareflow_abi::{CallArguments, CallRefusal, Context, Services};
use bareflow_loader::diagnosis::ServiceCall;
use bareflow_loader::{CallOutcome, Fault, FaultKind};
use bareflow_runtime::services::{self, read_clock};
use bareflow_runtime::{RunningCall, call_with_initial_fpu, clock};

use crate::call::{self, Activation, Processor, defer_to_kernel_stack, deferred_work, leave_module, on_this_processor};
use crate::frame::TrapFrame;
use crate::kernel::{kernel, observe};
use crate::layout::user::SYSCALL_SIZE;
use crate::syscall_stubs::{INVOKE_RETURNS, service_at};

unsafe extern "C" {
    fn bareflow_log(context: *mut Context<'_>, text: *const u8, length: usize);
    fn bareflow_clock(context: *mut Context<'_>) -> u64;
    fn bareflow_call(context: *mut Context<'_>, arguments: *mut CallArguments<'_>) -> u32;
    fn bareflow_invoke(embedder: *mut c_void, target: u64, words: *mut u64) -> Reply;
    fn bareflow_grow(context: *mut Context<'_>, pages: u64) -> u64;
}

// A service runs on the kernel's stack, below what the trampoline saved there, so that it does not depend on the room
// on the module's stack. A module that has no room for the pushed word overflows its own stack.
//
// Code of another module may run during it, so flags, the task priority and control words are set as that code may
// expect, whatever the module did. All services set interrupts on and the task priority to 0, and leave them so.
global_asm!(
    ".global bareflow_log",
    ".global bareflow_clock",
    ".global bareflow_call",
    ".global bareflow_invoke",
    ".global bareflow_grow",
    "bareflow_log:",
    "push rbp",
    "mov ecx, {log}",
    "jmp 2f",
    "bareflow_clock:",
    "push rbp",
    "mov ecx, {clock}",
    "jmp 2f",
    "bareflow_grow:",
    "push rbp",
    "mov ecx, {grow}",
    "jmp 2f",
    "bareflow_call:",
    "push rbp",
    "mov ecx, {call}",
    "2: mov rbp, rsp",
    "mov r8, [rbp + 8]",
    on_this_processor!("mov rax, ", "current"),
    "mov rsp, [rax]",
    "and rsp, -16",
    "push 0x202",
    "popfq",
    "clts",
    "xor eax, eax",
    "mov cr8, rax",
    call_with_initial_fpu!("{serve}"),
    "mov rsp, rbp",
    "pop rbp",
    "ret",
    "bareflow_invoke:",
    "push rbp",
    "mov rbp, rsp",
    "mov rcx, [rbp + 8]",
    on_this_processor!("mov rax, ", "current"),
    "mov rsp, [rax]",
    "and rsp, -16",
    "push 0x202",
    "popfq",
    "clts",
    "xor eax, eax",
    "mov cr8, rax",
    call_with_initial_fpu!("{invoke}"),
    "mov rsp, rbp",
    "pop rbp",
    "ret",
    // The service `invoke` from ring 3, where its `syscall` arrives. Like those above, it runs on the kernel's stack,
    // below what the trampoline saved. A caller expects no more than rbx, rbp, r12 to r15 and the control words to be
    // preserved (System V ABI 3.2.1). All else is cleared, selectors as well, since another module may have run.
    ".global bareflow_syscall_invoke",
    "bareflow_syscall_invoke:",
    "mov r8, rsp",
    on_this_processor!("mov rax, ", "current"),
    "mov r9, cr3",
    "mov r10, [rip + bareflow_kernel_root]",
    "mov rsp, [rax]",
    "mov cr3, r10",
    "and rsp, -16",
    "push r8",
    "push r9",
    "push r11",
    "push 0",
    "mov rcx, r8",
    // As in `call_with_initial_fpu`, but that the registers are cleared behind the call, and pending exceptions with them.
    "sub rsp, 16",
    "stmxcsr [rsp]",
    "fnstcw [rsp + 4]",
    "mov dword ptr [rsp + 8], 0x1f80",
    "ldmxcsr [rsp + 8]",
    "fninit",
    "call {invoke_ring_3}",
    "mov r8, rax",
    "mov r10, rdx",
    "call bareflow_clear_vectors",
    "fldcw [rsp + 4]",
    "ldmxcsr [rsp]",
    "add rsp, 24",
    "xor edi, edi",
    "xor esi, esi",
    "mov ds, edi",
    "mov es, edi",
    "mov fs, edi",
    "mov gs, edi",
    "pop r11",
    "pop r9",
    "pop rcx",
    "mov cr3, r9",
    "mov rsp, rcx",
    "mov ecx, {invoke_returns}",
    "mov rax, r8",
    "mov rdx, r10",
    "xor r8d, r8d",
    "xor r9d, r9d",
    "xor r10d, r10d",
    "sysretq",
    current = const offset_of!(Processor, current),
    invoke_returns = const INVOKE_RETURNS,
    invoke_ring_3 = sym invoke_ring_3,
    log = const SERVICE_LOG,
    clock = const SERVICE_CLOCK,
    call = const SERVICE_CALL,
    grow = const SERVICE_GROW,
    serve = sym serve_ring_0,
    invoke = sym invoke_ring_0,
);

/// The tables of services in ring 0: with the processor's clock, and with one that is undeclared or observed.
static TABLES: [Services; 2] = [
    Services::new(bareflow_log, read_clock)
        .with_call(bareflow_call)
        .with_invoke(bareflow_invoke)
        .with_grow(bareflow_grow),
    Services::new(bareflow_log, bareflow_clock)
        .with_call(bareflow_call)
        .with_invoke(bareflow_invoke)
        .with_grow(bareflow_grow),
];

/// The table of services in ring 0 for calls that are observed.
pub static OBSERVED_TABLE: &Services = &TABLES[1];

/// Returns the table of a module that declares `services`.
#[inline(always)]
pub fn table_of(services: u32) -> &'static Services {
    &TABLES[usize::from(services & SERVICE_CLOCK == 0)]
}

/// Serves a module in ring 0 that called `service` from `caller`.
extern "C" fn serve_ring_0(_: *mut Context<'_>, first: u64, second: u64, service: u32, caller: u64) -> u64 {
    let Some(activation) = call::current() else { return CallRefusal::NotDeclared as u64 };
    let done = services::serve(activation, service, [first, second]);
    deferred_work::after_service();
    if let Some(fault) = fault_at(activation, done.err(), || caller) {
        call::end_call(activation, fault, caller);
    }
    // After a fault the call has already ended.
    done.unwrap_or(0)
}

/// Calls a method of an import for a module in ring 0 that asked from `caller`.
extern "C" fn invoke_ring_0(_: *mut c_void, target: u64, words: u64, caller: u64) -> Reply {
    invoke(target, words, |_| caller)
}

/// Calls a method of an import for a module in ring 3 with this stack pointer.
extern "C" fn invoke_ring_3(_: *mut c_void, target: u64, words: u64, stack: u64) -> Reply {
    invoke(target, words, |activation| caller(activation, stack))
}

/// Calls a method of an import for the running module. `find_caller` returns where it asked from.
#[inline(always)]
fn invoke(target: u64, words: u64, find_caller: impl FnOnce(&Activation) -> u64) -> Reply {
    let Some(activation) = call::current() else { return CallError::NotBound.into() };
    let done = bareflow_runtime::serve_invoke(activation, target, words);
    deferred_work::after_service();
    match (done, call::requested_abort(activation)) {
        (Ok(reply), None) => reply,
        (done, _) => end_invoke(activation, done.err(), find_caller(activation)),
    }
}

/// Ends the call of a module after its `invoke` from `caller`: for the fault that the service found, or on request.
#[cold]
#[inline(never)]
fn end_invoke(activation: &Activation, fault: Option<Fault>, caller: u64) -> Reply {
    if let Some(fault) = fault_at(activation, fault, || caller) {
        call::end_call(activation, fault, caller);
    }
    // After a fault the call has already ended.
    CallError::Faulted.into()
}

/// Handles a `syscall` in ring 3.
pub fn handle_syscall(frame: &mut TrapFrame) {
    let Some(activation) = call::current() else { return };
    match service_at(frame.rip).filter(|_| activation.is_user()) {
        // The callee's services use the stack that this `syscall` arrived on.
        Some(SERVICE_CALL) => defer_to_kernel_stack(frame, activation, call_from_ring_3),
        Some(service) => {
            let done = services::serve(activation, service, [frame.rsi, frame.rdx]);
            if !return_to_ring_3(frame, activation, done) {
                deferred_work::after_syscall(frame, activation);
            }
        }
        // Only the stubs may execute the instruction.
        None => {
            frame.rip = frame.rip.wrapping_sub(SYSCALL_SIZE);
            let offset = activation.segments().offset_of(frame.rip);
            leave_module(frame, activation, Fault { kind: FaultKind::GeneralProtection, offset, address: None });
        }
    }
}

/// Makes the call of another module from ring 3, on the kernel's stack.
extern "C" fn call_from_ring_3(frame: &mut TrapFrame) {
    let Some(activation) = call::current() else { return };
    let done = services::serve(activation, SERVICE_CALL, [frame.rsi, frame.rdx]);
    deferred_work::after_service();
    return_to_ring_3(frame, activation, done);
}

/// Returns a service's result to a module in ring 3, or ends its call. Returns whether it ends.
fn return_to_ring_3(frame: &mut TrapFrame, activation: &Activation, done: Result<u64, Fault>) -> bool {
    frame.rax = done.unwrap_or(frame.rax);
    let fault = fault_at(activation, done.err(), || caller(activation, frame.rsp));
    fault.inspect(|&fault| leave_module(frame, activation, fault)).is_some()
}

/// Returns the address from which a stub was called: the word on top of the module's stack.
fn caller(activation: &Activation, stack: u64) -> u64 {
    let word = activation.bytes(stack, 8).and_then(|bytes| bytes.try_into().ok());
    word.map_or(0, u64::from_le_bytes)
}

/// Returns the fault that ends a call after a service: the one that the service found, whose place is `caller`, or the
/// one that was requested meanwhile.
fn fault_at(activation: &Activation, fault: Option<Fault>, caller: impl FnOnce() -> u64) -> Option<Fault> {
    let found = fault.map(|fault| Fault { offset: activation.segments().offset_of(caller()), ..fault });
    found.or_else(|| call::requested_abort(activation))
}

// SAFETY: another module is called, which has memory of its own; the observer gets what is named here.
unsafe impl services::ServedCall for Activation {
    fn declared(&self) -> u32 {
        self.image().declared
    }

    fn log(&self, line: &[u8]) {
        observe(|observer| observer.note_log(line));
        kernel().log(self.module(), line);
    }

    fn clock(&self) -> u64 {
        if self.is_user() {
            self.log_service(ServiceCall { service: SERVICE_CLOCK, arguments: [0; 2] });
        }
        let now = clock::now();
        observe(|observer| observer.note_clock(now));
        now
    }

    fn call(&self, name: &[u8], input: &[u8], output: &mut [u8]) -> Result<CallOutcome, CallRefusal> {
        match self.callees() {
            Some(callees) => call::with_nested_call(self, || callees.call(name, input, output)),
            None => Err(CallRefusal::NotDeclared),
        }
    }

    fn grow(&self, pages: u64) -> u64 {
        self.image().grow_memory(pages)
    }

    #[inline(always)]
    fn shape(&self, import: u32, method: u32) -> Result<Shape, CallError> {
        self.callees().map_or(Err(CallError::NotBound), |callees| callees.shape(import, method))
    }

    #[inline(always)]
    fn invoke(&self, import: u32, method: u32, frame: &mut Frame<'_>) -> Reply {
        match self.callees() {
            // What is moved into the closure need not be in memory, unless the call has a log.
            Some(callees) => call::with_nested_call(self, move || callees.invoke(import, method, frame)),
            None => CallError::NotBound.into(),
        }
    }
}
