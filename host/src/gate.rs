//! The gate through which modules are called, and its way back from a fault.

use std::arch::global_asm;
use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, Ordering};

use bareflow_abi::Context;
use bareflow_loader::{Call, CallError, Fault, FaultKind, Outcome, Returned};

use crate::caller::Caller;
use crate::clock;
use crate::memory::Image;
use crate::record::{MayCall, Record};
use crate::services::SERVICES;

/// What a thread keeps for the gate: its innermost call.
pub(crate) type Thread = AtomicPtr<Record<'static>>;

/// How the gate was left, and with what.
#[repr(C)]
struct Left {
    result: u64,
    status: Status,
}

/// How the gate was left.
#[repr(u64)]
#[expect(dead_code, reason = "the gate's code makes these")]
enum Status {
    Returned = 0,
    Clobbered = 1,
    Faulted = 2,
}

unsafe extern "C" {
    fn bareflow_host_gate(entry: u64, context: *mut Context<'_>, reason: u32, record: *const c_void) -> Left;
    fn bareflow_host_recover();
    safe fn bareflow_host_thread() -> *const c_void;
}

global_asm!(
    // Each thread's innermost call: the gate reads it, since a module may have destroyed every register.
    ".section .tbss.bareflow_host_record, \"awT\", @nobits",
    ".balign 8",
    ".global bareflow_host_record",
    ".hidden bareflow_host_record",
    "bareflow_host_record: .zero 8",
    ".text",
    ".global bareflow_host_thread",
    "bareflow_host_thread:",
    "mov rax, fs:[0]",
    "add rax, [rip + bareflow_host_record@GOTTPOFF]",
    "ret",
    ".global bareflow_host_gate",
    "bareflow_host_gate:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov [rcx], rsp",
    "mov rsp, [rcx + 8]",
    "mov rax, rdi",
    "mov rdi, rsi",
    "mov esi, edx",
    "call rax",
    "mov r8d, eax",
    // Did the module keep what a function must keep (System V ABI 3.2.1)?
    "mov r11, [rip + bareflow_host_record@GOTTPOFF]",
    "mov r11, fs:[r11]",
    "mov rdx, [r11]",
    "cmp rsp, [r11 + 8]",
    "jne 3f",
    "cmp r15, [rdx]",
    "jne 3f",
    "cmp r14, [rdx + 8]",
    "jne 3f",
    "cmp r13, [rdx + 16]",
    "jne 3f",
    "cmp r12, [rdx + 24]",
    "jne 3f",
    "cmp rbp, [rdx + 32]",
    "jne 3f",
    "cmp rbx, [rdx + 40]",
    "jne 3f",
    // The direction flag clear (a string instruction shows it for less than `pushfq`
    // takes), the control bits of MXCSR as they were.
    "mov rsi, rsp",
    "lodsb",
    "stmxcsr [rsp - 8]",
    "cmp rsi, rsp",
    "mov ecx, [rsp - 8]",
    "jb 3f",
    "and ecx, 0xffc0",
    "cmp ecx, 0x1f80",
    "jne 3f",
    // From here on the call can't be ended from outside any more.
    "mov qword ptr [r11], 0",
    "mov rsp, rdx",
    "mov eax, r8d",
    "xor edx, edx",
    "2: pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    // A fault: the signal handler came here, with the stack as the gate left it.
    ".global bareflow_host_recover",
    "bareflow_host_recover:",
    "mov edx, 2",
    "jmp 4f",
    "3: mov edx, 1",
    "4: mov r11, [rip + bareflow_host_record@GOTTPOFF]",
    "mov rcx, fs:[r11]",
    "mov rsp, [rcx]",
    "mov qword ptr [rcx], 0",
    "cld",
    "fninit",
    "push 0x1f80",
    "ldmxcsr [rsp]",
    "pop rcx",
    "jmp 2b",
);

/// Calls a module.
#[inline(always)]
pub(crate) fn call(
    call: &Call<'_, Image>,
    output: &mut [u8],
    caller: &Caller,
    callees: MayCall<'_>,
) -> Result<Returned, CallError> {
    let capacity = output.len();
    let outer = caller.thread.load(Ordering::Relaxed);
    let (stack_top, waiting) =
        if outer.is_null() { (call.image.stack_top, 0) } else { inside(outer, call.image.stack_top) };
    let record = Record::new(call, output, caller, stack_top, callees);
    let (heap, heap_size) = call.image.segments.heap();
    let mut context = Context::new(&SERVICES, call.input, output).with_heap(heap, heap_size);
    let record = (&raw const record).cast::<Record<'static>>().cast_mut();
    // The watchdog's signal never finds a call with another one's budget.
    caller.watched.begin(call.image.placement.budget.time_us);
    caller.thread.store(record, Ordering::Release);
    let start = clock::read(call.timing);
    // SAFETY: the entry lies in the sealed text of an image, as validation made
    // sure; a fault in it ends here by way of the signal handler.
    let returned = unsafe { bareflow_host_gate(call.entry, &raw mut context, call.reason as u32, record.cast()) };
    let cycles = clock::read(call.timing).saturating_sub(start);
    if !outer.is_null() {
        caller.watched.go_on(waiting);
    }
    caller.thread.store(outer, Ordering::Release);
    match returned.status {
        // The upper half of the register means nothing, and the module could have written any length.
        Status::Returned => {
            let output_length = context.output_length().min(capacity);
            Ok(Returned { outcome: Outcome { result: returned.result as u32 as i32, output_length }, cycles })
        }
        Status::Clobbered => Err(CLOBBERED.into()),
        // SAFETY: the record is this frame's own.
        Status::Faulted => Err(unsafe { (*record).fault.get() }.unwrap_or(UNKNOWN).into()),
    }
}

/// What the gate itself finds out, when a call returns.
const CLOBBERED: Fault = Fault { kind: FaultKind::ClobberedRegister, offset: Some(0), address: None };

/// A fault nobody noted, which can't be.
const UNKNOWN: Fault = Fault { kind: FaultKind::GeneralProtection, offset: None, address: None };

/// Where the stack of a call begins that is made from inside a service of
/// another call, and would else begin at `top`; and what the watchdog knows of that one.
#[cold]
fn inside(outer: *const Record<'static>, top: u64) -> (u64, u64) {
    // SAFETY: the outer call's frame holds its record, and waits for this call.
    let outer = unsafe { &*outer };
    let stack = outer.caller.stack.above(top, outer.stack_top());
    (stack.unwrap_or(outer.service_stack.get() & !15), outer.caller.watched.call())
}

/// What this thread keeps for the gate.
pub(crate) fn thread() -> &'static Thread {
    // SAFETY: the word is there as long as the thread, which the platform and its calls never leave.
    unsafe { &*bareflow_host_thread().cast() }
}

/// The call under way on this thread.
pub(crate) fn current() -> Option<&'static Record<'static>> {
    // SAFETY: not null only while a call is under way, whose frame holds the
    // record; callers are signal handlers and services, which end before it does.
    unsafe { thread().load(Ordering::Relaxed).as_ref() }
}

/// Where a call goes on that is ended from outside.
pub(crate) fn recovery() -> u64 {
    bareflow_host_recover as *const () as u64
}
