//! The gate through which modules are called, and its way back from a fault.

use std::arch::global_asm;
use std::cell::Cell;
use std::ffi::c_void;

use bareflow_abi::Context;
use bareflow_loader::{Call, Fault, FaultKind, Name};

use crate::Log;
use crate::memory::Image;

/// One call under way. The gate's code knows the first field's place.
#[repr(C)]
pub(crate) struct Record<'call> {
    /// The stack pointer, below the registers the gate saved.
    stack: Cell<u64>,
    /// What the signal handler found out.
    fault: Cell<Option<Fault>>,
    /// Whether the call is inside a service, that is, in our own code.
    pub in_service: Cell<bool>,
    pub module: &'call Name,
    pub image: &'call Image,
    pub log: &'call Log,
    /// The context's buffers: address and length of input and output.
    buffers: [(u64, u64); 2],
}

impl Record<'_> {
    /// Whether `length` bytes from `address` on are the module's to pass on:
    /// in its segments, in its context's buffers, or on the stack of the call.
    pub fn may_read(&self, address: u64, length: u64) -> bool {
        let stack = self.stack.get();
        let on_stack = address < stack && stack - address <= STACK_REACH && length <= stack - address;
        let within = |&(start, size): &(u64, u64)| {
            address >= start && address - start <= size && length <= size - (address - start)
        };
        on_stack || self.image.contains(address, length) || self.buffers.iter().any(within)
    }

    /// Notes the fault that ends the call, and says where execution goes on, on which stack.
    pub fn recover(&self, fault: Fault) -> (u64, u64) {
        self.fault.set(Some(fault));
        (bareflow_host_recover as *const () as u64, self.stack.get())
    }
}

/// Bytes of stack below the gate's frame that a module is taken to use.
const STACK_REACH: u64 = 1 << 20;

/// What the gate returns.
#[repr(C)]
struct Returned {
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
    fn bareflow_host_gate(entry: u64, context: *mut Context<'_>, reason: u32, record: *const c_void) -> Returned;
    fn bareflow_host_recover();
    safe fn bareflow_host_current() -> *const c_void;
}

global_asm!(
    // Each thread's innermost call: the gate reads it, since a module may have destroyed every register.
    ".section .tbss.bareflow_host_record, \"awT\", @nobits",
    ".balign 8",
    "bareflow_host_record: .zero 8",
    ".text",
    ".global bareflow_host_current",
    "bareflow_host_current:",
    "mov rax, [rip + bareflow_host_record@GOTTPOFF]",
    "mov rax, fs:[rax]",
    "ret",
    ".global bareflow_host_gate",
    "bareflow_host_gate:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov r11, [rip + bareflow_host_record@GOTTPOFF]",
    "push qword ptr fs:[r11]",
    "mov [rcx], rsp",
    "mov fs:[r11], rcx",
    "mov rax, rdi",
    "mov rdi, rsi",
    "mov esi, edx",
    "call rax",
    // Did the module keep what a function must keep (System V ABI 3.2.1)?
    "mov r11, [rip + bareflow_host_record@GOTTPOFF]",
    "mov rdx, fs:[r11]",
    "mov rdx, [rdx]",
    "cmp rsp, rdx",
    "jne 3f",
    "cmp r15, [rdx + 8]",
    "jne 3f",
    "cmp r14, [rdx + 16]",
    "jne 3f",
    "cmp r13, [rdx + 24]",
    "jne 3f",
    "cmp r12, [rdx + 32]",
    "jne 3f",
    "cmp rbp, [rdx + 40]",
    "jne 3f",
    "cmp rbx, [rdx + 48]",
    "jne 3f",
    // The direction flag clear, the control bits of MXCSR as they were.
    "pushfq",
    "stmxcsr [rsp - 8]",
    "test dword ptr [rsp], 0x400",
    "mov ecx, [rsp - 8]",
    "jne 3f",
    "and ecx, 0xffc0",
    "cmp ecx, 0x1f80",
    "jne 3f",
    "mov rsp, rdx",
    "xor edx, edx",
    "2: pop qword ptr fs:[r11]",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    // A fault: the signal handler came here, with the stack as the gate left it.
    ".global bareflow_host_recover",
    "bareflow_host_recover:",
    "mov ecx, 2",
    "jmp 4f",
    "3: mov ecx, 1",
    "4: mov r11, [rip + bareflow_host_record@GOTTPOFF]",
    "mov rdx, fs:[r11]",
    "mov rsp, [rdx]",
    "cld",
    "fninit",
    "push 0x1f80",
    "ldmxcsr [rsp]",
    "pop rdx",
    "mov edx, ecx",
    "jmp 2b",
);

/// Calls a module.
#[inline]
pub(crate) fn call(call: &Call<'_, Image>, context: &mut Context<'_>, log: &Log) -> Result<i32, Fault> {
    let input = context.input();
    let record = Record {
        stack: Cell::new(0),
        fault: Cell::new(None),
        in_service: Cell::new(false),
        module: call.module,
        image: call.image,
        log,
        buffers: [
            (input.as_ptr() as u64, input.len() as u64),
            (context.output_address(), context.output_capacity() as u64),
        ],
    };
    // SAFETY: the entry lies in the sealed text of an image, as validation made
    // sure; a fault in it ends here by way of the signal handler.
    let returned = unsafe { bareflow_host_gate(call.entry, context, call.reason as u32, (&raw const record).cast()) };
    match returned.status {
        // The upper half of the register means nothing.
        Status::Returned => Ok(returned.result as u32 as i32),
        Status::Clobbered => Err(Fault { kind: FaultKind::ClobberedRegister, offset: Some(0), address: None }),
        Status::Faulted => {
            let unknown = Fault { kind: FaultKind::GeneralProtection, offset: None, address: None };
            Err(record.fault.get().unwrap_or(unknown))
        }
    }
}

/// The call under way on this thread.
pub(crate) fn current() -> Option<&'static Record<'static>> {
    // SAFETY: not null only while a call is under way, whose frame holds the
    // record; callers are signal handlers and services, which end before it does.
    unsafe { bareflow_host_current().cast::<Record<'static>>().as_ref() }
}
