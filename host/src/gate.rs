//! The gate through which modules are called, and its way back from a fault.

use std::arch::{asm, global_asm};
use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, Ordering};

use bareflow_abi::Context;
use bareflow_loader::{Call, CallError, Fault, FaultKind, Outcome, Returned};

use crate::caller::Caller;
use crate::clock;
use crate::memory::Image;
use crate::record::{MayCall, Record};
use crate::services::SERVICES;

/// What a thread keeps for the gate: the record of its innermost call, or of its next one.
pub(crate) type Thread = AtomicPtr<Record>;

/// How the gate was left: the module returned.
const RETURNED: u64 = 0;

/// It returned without what a function must preserve.
const CLOBBERED: u64 = 1;

unsafe extern "C" {
    /// Takes the entry in rax, the module's arguments in rdi and rsi, and the record in rcx. Returns the
    /// result in rax, and in rdx how it was left. Keeps rbx and rbp alone.
    fn bareflow_host_gate();
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
    "push rbp",
    "push rbx",
    "mov [rcx], rsp",
    "mov rsp, [rcx + 8]",
    // What a function must keep: zeros, where the caller needs them no more.
    "xor r12d, r12d",
    "xor r13d, r13d",
    "xor r14d, r14d",
    "xor r15d, r15d",
    "call rax",
    // Did the module keep it (System V ABI 3.2.1)?
    "mov r11, [rip + bareflow_host_record@GOTTPOFF]",
    "mov r11, fs:[r11]",
    "mov rdx, [r11]",
    "cmp rsp, [r11 + 8]",
    "jne 3f",
    "or r12, r13",
    "or r14, r15",
    "or r12, r14",
    "jne 3f",
    "cmp rbp, [rdx + 8]",
    "jne 3f",
    "cmp rbx, [rdx]",
    "jne 3f",
    // The direction flag clear (a string instruction shows it for less than `pushfq`
    // takes), the control bits of MXCSR as they were.
    "mov rdi, rsp",
    "scasb",
    "stmxcsr [rsp - 8]",
    "cmp rdi, rsp",
    "mov ecx, [rsp - 8]",
    "jb 3f",
    "and ecx, 0xffc0",
    "cmp ecx, 0x1f80",
    "jne 3f",
    // From here on the call can't be ended from outside any more.
    "mov qword ptr [r11], 0",
    "lea rsp, [rdx + 16]",
    "xor edx, edx",
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
    "pop rbx",
    "pop rbp",
    "ret",
);

/// Calls a module.
#[inline(always)]
pub(crate) fn call(
    call: &Call<'_, Image>,
    output: &mut [u8],
    caller: &Caller,
    callees: MayCall<'_>,
) -> Result<Returned, CallError> {
    let record = &caller.record;
    // On a thread with one platform it stays so from the first call on.
    if caller.thread.load(Ordering::Relaxed) != record.address() || record.is_under_way() {
        return call_otherwise(call, output, caller, callees);
    }
    record.begin(call, call.image.stack_top);
    enter(call, output, record, callees)
}

/// Calls a module on a thread where another call is under way, or was made by another platform.
#[cold]
#[inline(never)]
fn call_otherwise(
    call: &Call<'_, Image>,
    output: &mut [u8],
    caller: &Caller,
    callees: MayCall<'_>,
) -> Result<Returned, CallError> {
    let outer = caller.thread.load(Ordering::Relaxed);
    let Some(under_way) = current() else {
        caller.take_over();
        caller.record.begin(call, call.image.stack_top);
        return enter(call, output, &caller.record, callees);
    };
    // It lies in the other one, and has a stack and a record of its own.
    let top = call.image.stack_top;
    let stack = caller.stack.above(top, under_way.stack_top());
    let waiting = under_way.caller().watched.call();
    let record = Record::idle();
    record.belongs_to(caller);
    record.begin(call, stack.unwrap_or(under_way.service_stack.get() & !15));
    caller.thread.store(record.address(), Ordering::Release);
    let returned = enter_lent(call, output, &record, callees);
    caller.watched.go_on(waiting);
    caller.thread.store(outer, Ordering::Release);
    returned
}

/// Makes a call that was noted.
#[inline(always)]
fn enter(
    call: &Call<'_, Image>,
    output: &mut [u8],
    record: &Record,
    callees: MayCall<'_>,
) -> Result<Returned, CallError> {
    if call.input.is_empty() && output.is_empty() && callees.is_none() {
        // The same context as ever: nobody but the module writes to it, and it says nothing that this call uses.
        return pass(call, call.image.context(), record)
            .map(|(result, cycles)| Returned { outcome: Outcome { result, output_length: 0 }, cycles });
    }
    enter_lent(call, output, record, callees)
}

/// Makes a call that was noted, with a context of its own.
fn enter_lent(
    call: &Call<'_, Image>,
    output: &mut [u8],
    record: &Record,
    callees: MayCall<'_>,
) -> Result<Returned, CallError> {
    let capacity = output.len();
    record.lend(call.input, output, callees);
    let (heap, heap_size) = call.image.segments.heap();
    let mut context = Context::new(&SERVICES, call.input, output).with_heap(heap, heap_size);
    let passed = pass(call, &raw mut context, record);
    record.take_back();
    let (result, cycles) = passed?;
    // The module could have written any length.
    let output_length = context.output_length().min(capacity);
    Ok(Returned { outcome: Outcome { result, output_length }, cycles })
}

/// Goes through the gate. Returns the result, and the cycles between the readings of the clock.
#[inline(always)]
fn pass(call: &Call<'_, Image>, context: *mut Context<'_>, record: &Record) -> Result<(i32, u64), CallError> {
    // The watchdog's signal never finds a call with another one's budget.
    record.caller().watched.begin(call.image.placement.budget.time_us);
    let (result, left): (u64, u64);
    let start = clock::read(call.timing);
    // SAFETY: the entry lies in the sealed text of an image, as validation made sure; a fault in it ends
    // here by way of the signal handler. What the gate does not keep is given up here.
    unsafe {
        asm!(
            "call {gate}",
            gate = sym bareflow_host_gate,
            inout("rax") call.entry => result,
            in("rdi") context,
            in("rsi") u64::from(call.reason as u32),
            in("rcx") record.address(),
            out("rdx") left,
            out("r12") _,
            out("r13") _,
            out("r14") _,
            out("r15") _,
            clobber_abi("C"),
        );
    }
    let cycles = clock::read(call.timing).saturating_sub(start);
    let fault = record.end();
    match left {
        // The upper half of the register means nothing.
        RETURNED => Ok((result as u32 as i32, cycles)),
        CLOBBERED => Err(CLOBBERED_REGISTER.into()),
        _ => Err(fault.unwrap_or(UNKNOWN).into()),
    }
}

/// What the gate itself finds out, when a call returns.
const CLOBBERED_REGISTER: Fault = Fault { kind: FaultKind::ClobberedRegister, offset: Some(0), address: None };

/// A fault nobody noted, which can't be.
const UNKNOWN: Fault = Fault { kind: FaultKind::GeneralProtection, offset: None, address: None };

/// What this thread keeps for the gate.
pub(crate) fn thread() -> &'static Thread {
    // SAFETY: the word is there as long as the thread, which the platform and its calls never leave.
    unsafe { &*bareflow_host_thread().cast() }
}

/// The call under way on this thread.
pub(crate) fn current<'call>() -> Option<&'call Record> {
    // SAFETY: a record is there until its caller takes it out of the word; while a call is under way, its
    // caller waits. Signal handlers, services and calls inside of calls end before it does.
    unsafe { thread().load(Ordering::Relaxed).as_ref() }.filter(|record| record.is_under_way())
}

/// Where a call goes on that is ended from outside.
pub(crate) fn recovery() -> u64 {
    bareflow_host_recover as *const () as u64
}
