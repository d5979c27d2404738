//! The trampoline into the kernel domain: a call in ring 0. Interrupts are on, as in the whole kernel, so that the
//! timer ends a call whose time is up.

use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::Ordering;

use bareflow_abi::{Context, Services};
use bareflow_loader::{Call, CallFailure, CallOutcome, FastExit, FastReturn, TimedCall};

use super::{
    Activation, BufferRange, OptionalReach, Processor, RETURNED, call_trampoline, decode_return, on_this_processor,
    run_timed, this_processor,
};
use crate::image::Image;

unsafe extern "C" {
    // Both take the module's arguments in rdi and rsi, its entry in rdx, and the activation in rcx. They return the
    // result in rax, and the exit reason in rdx. They preserve only rbx and rbp.
    fn bareflow_trampoline();
    fn bareflow_trampoline_checking();
}

/// Defines the trampoline `name`. The code before and after the call checks the registers that a function must
/// preserve but the kernel does not rely on.
macro_rules! trampoline {
    ($name:literal, $before:literal, $behind:literal) => {
        global_asm!(
            concat!(".global ", $name),
            concat!($name, ":"),
            "push rbx",
            "push rbp",
            "mov [rcx], rsp",
            // A function must preserve rbp.
            "mov rbp, rsp",
            "mov rsp, [rcx + 8]",
            $before,
            "call rdx",
            // Check that the module preserved rsp and rbp (System V ABI 3.2.1).
            on_this_processor!("mov rcx, ", "current"),
            "cmp rsp, [rcx + 8]",
            "jne bareflow_trampoline_clobbered",
            "cmp rbp, [rcx]",
            "jne bareflow_trampoline_clobbered",
            $behind,
            // Check that the flags are clear that must be (trap, direction, nested task, alignment check), that the
            // interrupt flag is set, and that MXCSR's control bits are unchanged. Both are compared in one word.
            "pushfq",
            "stmxcsr [rsp + 4]",
            "pop rcx",
            "and rcx, [rip + bareflow_trampoline_mask]",
            "cmp rcx, [rip + bareflow_trampoline_flags]",
            "jne bareflow_trampoline_clobbered",
            "mov rsp, rbp",
            "pop rbp",
            "pop rbx",
            "xor edx, edx",
            "ret",
            current = const offset_of!(Processor, current),
        );
    };
}

trampoline!("bareflow_trampoline", "", "");
trampoline!(
    "bareflow_trampoline_checking",
    "xor ebx, ebx\n xor r12d, r12d\n xor r13d, r13d\n xor r14d, r14d\n xor r15d, r15d",
    // Check that no interrupts are masked by priority (cr8), and that no debug register is armed or guarded (dr7).
    "mov rcx, dr7\n and ecx, 0x20ff\n mov rdx, cr8\n or rcx, rdx
    or rbx, r12\n or r13, r14\n or rbx, r15\n or r13, rcx\n or rbx, r13\n jne bareflow_trampoline_clobbered"
);

global_asm!(
    ".balign 8",
    ".global bareflow_trampoline_mask",
    "bareflow_trampoline_mask: .long 0x44700, 0xffc0",
    ".global bareflow_trampoline_flags",
    "bareflow_trampoline_flags: .long 0x200, 0x1f80",
    // A fault in either domain: the trap handler continues here, on the kernel's stack.
    ".global bareflow_trampoline_recover",
    "bareflow_trampoline_recover:",
    "mov edi, 2",
    "jmp 4f",
    ".global bareflow_trampoline_clobbered",
    "bareflow_trampoline_clobbered:",
    "mov edi, 1",
    "4: mov rax, [rip + bareflow_kernel_root]",
    "mov cr3, rax",
    on_this_processor!("mov rcx, ", "current"),
    "mov rsp, [rcx]",
    "push 0x202",
    "popfq",
    // Undo what ring 0 may have changed: vector units off, interrupts masked by priority, debug registers armed.
    "clts",
    "xor eax, eax",
    "mov cr8, rax",
    "mov eax, 0x400",
    "mov dr7, rax",
    "call bareflow_clear_vectors",
    "mov edx, edi",
    "pop rbp",
    "pop rbx",
    "ret",
    current = const offset_of!(Processor, current),
);

/// Calls a module in ring 0, which sees `services`.
#[inline(always)]
pub(super) fn call(
    call: &Call<'_, Image>,
    services: &Services,
    output: &mut [u8],
    reach: OptionalReach<'_>,
) -> Result<TimedCall, CallFailure> {
    let capacity = output.len();
    let input = (call.input().as_ptr() as u64, call.input().len() as u64);
    let buffers = (input, (output.as_ptr() as u64, capacity as u64));
    let mut context = context(call, services, output).with_caller(call.caller());
    let (exit_reason, returned) = enter(call, &mut context, buffers, reach);
    let FastReturn { result, cycles } = decode_return(exit_reason, returned)?;
    // The module could have written any length.
    let output_length = context.output_length().min(capacity);
    Ok(TimedCall { outcome: CallOutcome { result, output_length }, cycles })
}

/// Calls a module in ring 0 without input, output, or other modules that it may call.
#[inline(always)]
pub fn call_fast(call: &Call<'_, Image>) -> Result<FastReturn, FastExit> {
    let (code, returned) = enter(call, &mut context(call, call.image().services, &mut []), ((0, 0), (0, 0)), None);
    if code == RETURNED { Ok(returned) } else { Err(FastExit { code, returned }) }
}

/// Returns the outcome of a call that left the fast path.
pub fn finish_fast(FastExit { code, returned }: FastExit) -> Result<TimedCall, CallFailure> {
    let FastReturn { result, cycles } = decode_return(code, returned)?;
    Ok(TimedCall { outcome: CallOutcome { result, output_length: 0 }, cycles })
}

#[inline(always)]
fn context<'call>(call: &Call<'call, Image>, services: &'call Services, output: &'call mut [u8]) -> Context<'call> {
    let (heap, heap_size) = call.image().segments.heap();
    Context::new(services, call.input(), output).with_heap(heap, heap_size)
}

#[inline(always)]
fn enter(
    call: &Call<'_, Image>,
    context: &mut Context<'_>,
    buffers: (BufferRange, BufferRange),
    reach: OptionalReach<'_>,
) -> (u64, FastReturn) {
    let stack_top = call.image().kernel_stack_top() + this_processor().stack_shift.load(Ordering::Relaxed);
    let activation = Activation::new(call.module(), call.image(), stack_top, buffers, reach);
    // Without `check_abi`, the registers that are declared clobbered here are not checked.
    let trampoline: unsafe extern "C" fn() =
        if call.check_abi() { bareflow_trampoline_checking } else { bareflow_trampoline };
    run_timed(activation, call.timing(), |activation| {
        // SAFETY: the entry lies in the sealed text of an image, as validation checked; its stack is mapped; all
        // registers that the trampoline does not preserve are declared clobbered.
        unsafe {
            call_trampoline!([in(reg) trampoline], activation, call.entry(), "rdi" = &raw mut *context, "rsi" = u64::from(call.reason()))
        }
    })
}
