//! Serialisation of instruction fetch after code was written.

use core::arch::asm;

/// Makes the processor discard the instructions that it has fetched.
///
/// Code that was written through another address may run only after this (Intel SDM volume 3, 10.3). Of the serialising
/// instructions, a return from an interrupt is the fastest.
#[inline]
pub fn serialize() {
    // SAFETY: returns to the next instruction, with stack and flags unchanged.
    unsafe {
        asm!(
            "mov {stack}, rsp",
            "mov {word:e}, ss",
            "push {word}",
            "push {stack}",
            "pushfq",
            "mov {word:e}, cs",
            "push {word}",
            "lea {word}, [rip + 2f]",
            "push {word}",
            "iretq",
            "2:",
            stack = out(reg) _,
            word = out(reg) _,
        );
    }
}
