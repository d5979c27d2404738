//! The stubs, one for each vector: they push a [`TrapFrame`](crate::frame::TrapFrame) and call the handler.

use core::arch::global_asm;

use crate::frame::ERROR_CODES;

/// The number of vectors, each with a stub: the processor's own exceptions, and interrupts.
pub const VECTORS: usize = 256;

global_asm!(
    // One stub for each vector, 16 bytes apart. Some exceptions come with an error code, but not when software raises
    // them by `int`. The top of every stack is a multiple of 16: five pushed words leave the stack pointer at an odd
    // multiple of 8, and six do not.
    ".balign 16",
    ".global bareflow_trap_stubs",
    "bareflow_trap_stubs:",
    ".set vector, 0",
    ".rept 32",
    ".balign 16",
    ".if ({error_codes} >> vector) & 1",
    "test spl, 8",
    "jz 2f",
    "push -1",
    ".else",
    "push 0",
    ".endif",
    "2:",
    "push vector",
    "jmp bareflow_trap",
    ".set vector, vector + 1",
    ".endr",
    ".rept 224",
    ".balign 16",
    "push 0",
    "push vector",
    "jmp bareflow_trap",
    ".set vector, vector + 1",
    ".endr",
    ".global bareflow_trap",
    "bareflow_trap:",
    "push rax",
    "push rbx",
    "push rcx",
    "push rdx",
    "push rsi",
    "push rdi",
    "push rbp",
    "push r8",
    "push r9",
    "push r10",
    "push r11",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    // Clear the flags as compiled code requires, and allow no access to user pages (SMAP).
    "push 2",
    "popfq",
    "mov rdi, rsp",
    // Align the stack to 16 bytes for the handler.
    "mov rbp, rsp",
    "and rsp, -16",
    "call {handler}",
    "mov rsp, rbp",
    ".global bareflow_trap_return",
    "bareflow_trap_return:",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop r11",
    "pop r10",
    "pop r9",
    "pop r8",
    "pop rbp",
    "pop rdi",
    "pop rsi",
    "pop rdx",
    "pop rcx",
    "pop rbx",
    "pop rax",
    "add rsp, 16",
    "iretq",
    error_codes = const ERROR_CODES,
    handler = sym super::handler::handle,
);

/// Returns the address of the stub of `vector`.
pub fn stub(vector: usize) -> u64 {
    unsafe extern "C" {
        safe fn bareflow_trap_stubs();
    }
    bareflow_trap_stubs as *const () as u64 + vector as u64 * 16
}
