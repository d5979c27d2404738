//! The gate through which modules are called: onto a stack of their own, and
//! back with every register a function must preserve, whatever happened.

use core::arch::global_asm;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use bareflow_abi::Context;
use bareflow_loader::{Call, Fault, FaultKind, Name};

use crate::image::Image;
use crate::memory::MODULE_STACK;

/// One call under way. The gate's code knows the first two fields' places.
#[repr(C)]
pub struct Record {
    /// The kernel's stack pointer, below the registers the gate saved.
    kernel_stack: u64,
    /// The top of the module's stack.
    module_stack: u64,
    /// What the trap handler found out.
    pub fault: Option<Fault>,
    /// The module's name.
    pub module: Name,
    /// The module's memory.
    pub image: *const Image,
    /// The context's buffers: address and length of input and output.
    buffers: [(u64, u64); 2],
    /// Whether the call is to end as soon as the kernel's work for the module is done.
    break_off: AtomicBool,
}

impl Record {
    /// The module's memory.
    pub fn image(&self) -> &Image {
        // SAFETY: a record lives as long as its call, which borrows the image.
        unsafe { &*self.image }
    }

    /// Whether `length` bytes from `address` on are the module's to pass on:
    /// in its segments, on its stack, or in its context's buffers.
    pub fn may_read(&self, address: u64, length: u64) -> bool {
        let stack = (MODULE_STACK.start + crate::memory::PAGE_SIZE, MODULE_STACK.pages * crate::memory::PAGE_SIZE);
        let within = |&(start, size): &(u64, u64)| {
            address >= start && address - start <= size && length <= size - (address - start)
        };
        self.image().contains(address, length) || self.buffers.iter().chain([&stack]).any(within)
    }
}

/// The call under way, or null. The gate reads it, since a module may have
/// destroyed every register.
#[unsafe(export_name = "bareflow_current_call")]
static CURRENT: AtomicPtr<Record> = AtomicPtr::new(core::ptr::null_mut());

/// How a call ends that is broken off while the kernel works for the module.
const NON_MASKABLE: Fault = Fault { kind: FaultKind::NonMaskable, offset: None, address: None };

/// What the gate returns.
#[repr(C)]
struct Returned {
    result: u64,
    status: Status,
}

/// How the gate was left.
#[repr(u64)]
#[derive(PartialEq)]
#[expect(dead_code, reason = "the gate's code makes these")]
enum Status {
    Returned = 0,
    Clobbered = 1,
    Faulted = 2,
}

unsafe extern "C" {
    fn bareflow_gate(entry: u64, context: *mut Context<'_>, reason: u32, record: *mut c_void) -> Returned;
    fn bareflow_gate_recover() -> !;
}

global_asm!(
    ".global bareflow_gate",
    "bareflow_gate:",
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
    // Did the module keep what a function must keep (System V ABI 3.2.1)?
    "mov rcx, [rip + bareflow_current_call]",
    "mov rdx, [rcx]",
    "cmp rsp, [rcx + 8]",
    "jne 2f",
    "cmp r15, [rdx]",
    "jne 2f",
    "cmp r14, [rdx + 8]",
    "jne 2f",
    "cmp r13, [rdx + 16]",
    "jne 2f",
    "cmp r12, [rdx + 24]",
    "jne 2f",
    "cmp rbp, [rdx + 32]",
    "jne 2f",
    "cmp rbx, [rdx + 40]",
    "jne 2f",
    // The flags that must be clear are (trap, interrupt, direction, nested task,
    // alignment check), and the control bits of MXCSR are as they were.
    "pushfq",
    "stmxcsr [rsp - 8]",
    "test dword ptr [rsp], 0x44700",
    "mov ecx, [rsp - 8]",
    "jne 2f",
    "and ecx, 0xffc0",
    "cmp ecx, 0x1f80",
    "jne 2f",
    "mov rsp, rdx",
    "xor edx, edx",
    "jmp 3f",
    // A fault: the trap handler came here.
    ".global bareflow_gate_recover",
    "bareflow_gate_recover:",
    "mov ecx, 2",
    "jmp 4f",
    "2: mov ecx, 1",
    "4: mov rdx, [rip + bareflow_current_call]",
    "mov rsp, [rdx]",
    "push 2",
    "popfq",
    "fninit",
    "push 0x1f80",
    "ldmxcsr [rsp]",
    "pop rdx",
    "mov edx, ecx",
    "3: pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
);

/// Calls a module.
pub fn call(call: &Call<'_, Image>, context: &mut Context<'_>) -> Result<i32, Fault> {
    let (input, capacity) = (context.input(), context.output_capacity());
    let buffers = [(input.as_ptr() as u64, input.len() as u64), (context.output_address(), capacity as u64)];
    let mut record = Record {
        kernel_stack: 0,
        module_stack: MODULE_STACK.top(),
        fault: None,
        module: *call.module,
        image: call.image,
        buffers,
        break_off: AtomicBool::new(false),
    };
    let record: *mut Record = &raw mut record;
    let outer = CURRENT.swap(record, Ordering::Relaxed);
    // SAFETY: the entry lies in the sealed text of an image, as validation made
    // sure; its stack is mapped; whatever it does to registers the gate undoes.
    let returned = unsafe { bareflow_gate(call.entry, context, call.reason as u32, record.cast()) };
    CURRENT.store(outer, Ordering::Relaxed);
    match returned.status {
        // The upper half of the register means nothing.
        Status::Returned => Ok(returned.result as u32 as i32),
        Status::Clobbered => Err(Fault { kind: FaultKind::ClobberedRegister, offset: Some(0), address: None }),
        Status::Faulted => {
            let unknown = Fault { kind: FaultKind::GeneralProtection, offset: None, address: None };
            // SAFETY: the record is this frame's own; the trap handler is done with it.
            Err(unsafe { (*record).fault }.unwrap_or(unknown))
        }
    }
}

/// The call under way.
pub fn current() -> Option<&'static Record> {
    // SAFETY: not null only while a call is under way, whose frame holds the
    // record; callers are traps and services, which end before it does.
    unsafe { CURRENT.load(Ordering::Relaxed).as_ref() }
}

/// Has the call under way end when the kernel's own code, which was
/// interrupted, is done. Where the call is about to end anyway, nothing comes of it.
pub fn ask_to_break_off() {
    if let Some(record) = current() {
        record.break_off.store(true, Ordering::Relaxed);
    }
}

/// Ends the call under way, if that was asked for. A service's last act, when it holds nothing any more.
pub fn break_off_if_asked() {
    let asked = current().is_some_and(|record| record.break_off.load(Ordering::Relaxed));
    if asked && recover(NON_MASKABLE).is_some() {
        // SAFETY: a call is under way, so the gate's frame is there to go back to;
        // the service's own frames hold nothing that would have to be dropped.
        unsafe { bareflow_gate_recover() }
    }
}

/// Notes the fault that ends the call under way, and says where execution goes
/// on, on which stack. `None` when no call is under way.
pub fn recover(fault: Fault) -> Option<(u64, u64)> {
    // SAFETY: as above; the code that could use the record is interrupted and not resumed.
    let record = unsafe { CURRENT.load(Ordering::Relaxed).as_mut()? };
    record.fault = Some(fault);
    Some((bareflow_gate_recover as *const () as u64, record.kernel_stack))
}
