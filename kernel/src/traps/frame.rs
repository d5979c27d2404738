//! The frame that the processor and the stubs push when a trap arrives, and the stubs.

use core::arch::global_asm;

/// The number of vectors with a stub: the processor's own exceptions, and interrupts.
pub const VECTORS: usize = 48;

/// The vectors whose exceptions come with an error code, one bit each: 8, 10 to 14, 17, 21, 29 and 30 (Intel SDM
/// volume 3, table 7-1; AMD APM 2, 8.2).
pub const ERROR_CODES: u64 = 0x6022_7d00;

/// The error code stored for such a vector when software raised it, so that there was none. Real ones have 32 bits.
pub const NO_ERROR_CODE: u64 = u64::MAX;

/// The registers at the moment of a trap, in the order of the stubs' pushes.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct TrapFrame {
    /// The general registers, down to `rax`.
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
    /// The exception's error code; 0 where it has none, or [`NO_ERROR_CODE`].
    pub error: u64,
    /// The registers that the processor pushed (Intel SDM volume 3, 7.14.2).
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// The flags that a module may change: status, trap, direction, alignment check.
const MODULES_FLAGS: u64 = 0x4_0dd5;

/// The flag that raises a debug exception after each instruction.
const TRAP_FLAG: u64 = 1 << 8;

impl TrapFrame {
    /// Sets whether the interrupted code goes on in single steps.
    pub fn step(&mut self, on: bool) {
        self.rflags = if on { self.rflags | TRAP_FLAG } else { self.rflags & !TRAP_FLAG };
    }

    /// Flips a bit of one of the interrupted code's own registers. `register` selects the register, and `bit` the
    /// bit; among the flags only one that the code may change is flipped.
    pub fn flip(&mut self, register: u64, bit: u64) {
        let mask = 1_u64 << (bit % 64);
        match register % 18 {
            0 => self.rip ^= mask,
            1 => self.rsp ^= mask,
            2 => {
                let bits = (0..19).filter(|&bit| MODULES_FLAGS >> bit & 1 != 0);
                let count = bits.clone().count() as u64;
                self.rflags ^= bits.clone().nth((bit % count) as usize).map_or(0, |bit| 1 << bit);
            }
            3 => self.rax ^= mask,
            4 => self.rbx ^= mask,
            5 => self.rcx ^= mask,
            6 => self.rdx ^= mask,
            7 => self.rsi ^= mask,
            8 => self.rdi ^= mask,
            9 => self.rbp ^= mask,
            10 => self.r8 ^= mask,
            11 => self.r9 ^= mask,
            12 => self.r10 ^= mask,
            13 => self.r11 ^= mask,
            14 => self.r12 ^= mask,
            15 => self.r13 ^= mask,
            16 => self.r14 ^= mask,
            _ => self.r15 ^= mask,
        }
    }
}

global_asm!(
    // One stub for each vector, 16 bytes apart. Some exceptions come with an error code, but not when software raises
    // them by `int`. The top of every stack is a multiple of 16: five pushed words leave the stack pointer at an odd
    // multiple of 8, and six do not.
    ".balign 16",
    ".global bareflow_trap_stubs",
    "bareflow_trap_stubs:",
    ".set vector, 0",
    ".rept 48",
    ".balign 16",
    ".if (vector < 32) && (({error_codes} >> vector) & 1)",
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
