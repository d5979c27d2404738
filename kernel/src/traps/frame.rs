//! What the processor and the stubs leave on the stack when a trap arrives.

use core::arch::global_asm;

/// Number of the processor's own exceptions.
pub const EXCEPTIONS: usize = 32;

/// Registers at the moment of a trap, in the order of the stubs' pushes.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct TrapFrame {
    /// General registers.
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    /// The exception's number.
    pub vector: u64,
    /// Its error code; 0 where it has none.
    pub error: u64,
    /// What the processor pushed (Intel SDM volume 3, 7.14.2).
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

global_asm!(
    // One stub for each vector, 16 bytes apart. Vectors 8, 10 to 14, 17, 21, 29
    // and 30 come with an error code (Intel SDM volume 3, table 7-1; AMD APM 2, 8.2),
    // but not when software raises them by `int`: every stack's top is a multiple of
    // 16, so five words leave it at an odd multiple of 8, and six do not.
    ".balign 16",
    ".global bareflow_trap_stubs",
    "bareflow_trap_stubs:",
    ".set vector, 0",
    ".rept 32",
    ".balign 16",
    ".if (0x60227d00 >> vector) & 1",
    "test spl, 8",
    "jz 2f",
    ".endif",
    "push 0",
    "2:",
    "push vector",
    "jmp bareflow_trap",
    ".set vector, vector + 1",
    ".endr",
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
    "cld",
    "mov rdi, rsp",
    // Every trap starts at the top of a stack, so the frame's size decides: keep to 16 bytes.
    "mov rbp, rsp",
    "and rsp, -16",
    "call {handler}",
    "mov rsp, rbp",
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
    handler = sym super::handler::handle,
);

/// Address of the stub of an exception.
pub fn stub(vector: usize) -> u64 {
    unsafe extern "C" {
        safe fn bareflow_trap_stubs();
    }
    bareflow_trap_stubs as *const () as u64 + vector as u64 * 16
}
