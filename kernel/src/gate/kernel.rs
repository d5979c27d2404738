//! The gate into the kernel domain: a call in ring 0. Interrupts are on, there as
//! in the whole kernel, so that the timer ends it when its time is up.

use core::arch::global_asm;
use core::ffi::c_void;
use core::sync::atomic::Ordering;

use bareflow_abi::Context;
use bareflow_loader::{Call, CallError, Outcome, Returned};

use super::{Left, MayCall, Record, STACK_SHIFT, pass};
use crate::image::Image;
use crate::services::undeclared::table;

unsafe extern "C" {
    fn bareflow_gate(context: *mut Context<'_>, reason: u32, entry: u64, record: *mut c_void) -> Left;
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
    "call rdx",
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
    // The flags that must be clear are (trap, direction, nested task, alignment check), the
    // interrupt flag is set, and the control bits of MXCSR are as they were. Both in one word.
    "pushfq",
    "stmxcsr [rsp + 4]",
    "pop rcx",
    "and rcx, [rip + 5f]",
    "cmp rcx, [rip + 6f]",
    "jne 2f",
    // All registers are as they were: there is nothing to restore.
    "lea rsp, [rdx + 48]",
    "xor edx, edx",
    "ret",
    ".balign 8",
    "5: .long 0x44700, 0xffc0",
    "6: .long 0x200, 0x1f80",
    // A fault, in whichever domain: the trap handler came here, on the kernel's stack.
    ".global bareflow_gate_recover",
    "bareflow_gate_recover:",
    "mov edi, 2",
    "jmp 4f",
    "2: mov edi, 1",
    "4: mov rax, [rip + bareflow_kernel_root]",
    "mov cr3, rax",
    "mov rcx, [rip + bareflow_current_call]",
    "mov rsp, [rcx]",
    "push 0x202",
    "popfq",
    // What ring 0 may have switched: the vector units off, interrupts of low priority away.
    "clts",
    "xor eax, eax",
    "mov cr8, rax",
    "call bareflow_clear_vectors",
    "mov edx, edi",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
);

/// Calls a module in ring 0.
#[inline(always)]
pub(super) fn call(
    call: &Call<'_, Image>,
    output: &mut [u8],
    callees: MayCall<'_>,
) -> Result<Returned, CallError> {
    let (image, capacity) = (call.image, output.len());
    let input = (call.input.as_ptr() as u64, call.input.len() as u64);
    let stack_top = image.stack_top + STACK_SHIFT.load(Ordering::Relaxed);
    let buffers = [input, (output.as_ptr() as u64, capacity as u64)];
    let record = Record::new(call.module, image, stack_top, buffers, callees);
    let (heap, heap_size) = image.segments.heap();
    let mut context = Context::new(table(image.services), call.input, output).with_heap(heap, heap_size);
    let (result, cycles) = pass(record, call.timing, |record| {
        // SAFETY: the entry lies in the sealed text of an image, as validation made
        // sure; its stack is mapped; whatever it does to registers the gate undoes.
        unsafe { bareflow_gate(&raw mut context, call.reason as u32, call.entry, record.cast()) }
    })?;
    // The module could have written any length.
    let output_length = context.output_length().min(capacity);
    Ok(Returned { outcome: Outcome { result, output_length }, cycles })
}
