//! Accesses to bare addresses.

use core::arch::asm;

/// Reads a byte.
pub fn read(address: usize) -> i32 {
    // SAFETY: the read does no damage beyond this module's purpose; one that faults ends the call.
    unsafe { asm!("mov {0:l}, [{0}]", inout(reg) address => _, options(nostack)) };
    0
}

/// Writes a byte.
pub fn write(address: usize) -> i32 {
    // SAFETY: damage is this module's purpose, and whoever loads it contains it.
    unsafe { asm!("mov byte ptr [{0}], 0xc3", in(reg) address, options(nostack)) };
    0
}

/// Reads a byte and writes it back.
pub fn rewrite(address: usize) -> i32 {
    // SAFETY: as for `write`; nothing has changed after it.
    unsafe { asm!("mov {1}, [{0}]", "mov [{0}], {1}", in(reg) address, out(reg_byte) _, options(nostack)) };
    0
}

/// Calls `address`.
pub fn execute(address: usize) -> i32 {
    // SAFETY: as for `write`; the code there preserves what a function must, since all that this module has there is
    // `ret`.
    unsafe { asm!("call {0}", in(reg) address, clobber_abi("sysv64")) };
    0
}

/// Jumps to `address`.
pub fn jump(address: usize) -> i32 {
    // SAFETY: as for `write`; execution never returns from there.
    unsafe { asm!("jmp {0}", in(reg) address, options(noreturn)) }
}

/// Reads byte after byte, upwards, until it faults.
pub fn read_upwards(address: usize) -> i32 {
    // SAFETY: as for `read`.
    unsafe { asm!("2: mov al, [rdi]", "inc rdi", "jmp 2b", in("rdi") address, options(noreturn)) }
}

/// Reads byte after byte, downwards, until it faults.
pub fn read_downwards(address: usize) -> i32 {
    // SAFETY: as for `read`.
    unsafe { asm!("2: mov al, [rdi]", "dec rdi", "jmp 2b", in("rdi") address, options(noreturn)) }
}

/// Writes byte after byte, upwards, until it faults.
pub fn write_upwards(address: usize) -> i32 {
    // SAFETY: as for `write`.
    unsafe { asm!("2: mov byte ptr [rdi], 0xc3", "inc rdi", "jmp 2b", in("rdi") address, options(noreturn)) }
}
