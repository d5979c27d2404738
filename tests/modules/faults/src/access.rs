//! Accesses to bare addresses.

use core::arch::asm;

/// Reads a byte.
pub fn read(address: usize) -> i32 {
    // SAFETY: reads harm nobody that this module wouldn't; one that faults ends the call.
    unsafe { asm!("mov {0:l}, [{0}]", inout(reg) address => _, options(nostack)) };
    0
}

/// Writes a byte.
pub fn write(address: usize) -> i32 {
    // SAFETY: harm is what this module is for, and who loads it contains it.
    unsafe { asm!("mov byte ptr [{0}], 0xc3", in(reg) address, options(nostack)) };
    0
}

/// Reads a byte and writes it back.
pub fn rewrite(address: usize) -> i32 {
    // SAFETY: as for `write`; nothing is different after it.
    unsafe { asm!("mov {1}, [{0}]", "mov [{0}], {1}", in(reg) address, out(reg_byte) _, options(nostack)) };
    0
}

/// Calls what is there.
pub fn execute(address: usize) -> i32 {
    // SAFETY: as for `write`; what is there preserves what a function must, as all this module has is `ret`.
    unsafe { asm!("call {0}", in(reg) address, clobber_abi("sysv64")) };
    0
}

/// Jumps there.
pub fn jump(address: usize) -> i32 {
    // SAFETY: as for `write`; it goes nowhere from where execution could come back.
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
