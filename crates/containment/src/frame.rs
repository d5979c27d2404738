//! The registers at the moment of a trap.

use bareflow_loader::diagnosis::REGISTER_NAMES;

/// The vector number that the trampoline pushes when ring 3 executes `syscall`.
pub const SYSCALL: u64 = 0x100;

/// The flags with which the kernel's own code begins: bit 1, which is always set, and interrupts; no direction, no
/// trap, no alignment check.
pub const CLEAR_FLAGS: u64 = 0x202;

/// The vectors whose exceptions come with an error code, one bit each: 8, 10 to 14, 17, 21, 29 and 30 (Intel SDM
/// volume 3, table 7-1; AMD APM 2, 8.2).
pub const ERROR_CODES: u64 = 0x6022_7d00;

/// The error code stored for such a vector when software raised it, so that there was none. Real ones have 32 bits.
pub const NO_ERROR_CODE: u64 = u64::MAX;

/// The registers at the moment of a trap, in the order of the stubs' pushes.
#[repr(C)]
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "registers have their names")]
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
    /// The exception's error code; 0 where it has none, or all ones where software raised one that has.
    pub error: u64,
    /// The registers that the processor pushed (Intel SDM volume 3, 7.14.2).
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

impl TrapFrame {
    /// Returns the registers of a diagnosis, in the order of [`REGISTER_NAMES`].
    #[must_use]
    pub const fn registers(&self) -> [u64; REGISTER_NAMES.len()] {
        let TrapFrame { rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, .. } = *self;
        [self.rip, self.rflags, rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15]
    }
}
