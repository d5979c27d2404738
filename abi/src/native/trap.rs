//! The instructions by which a module ends itself.

use core::arch::asm;
use core::panic::PanicInfo;

/// Ends the module by an undefined instruction of its own: `ud1 eax, [rax + 0x62]`.
///
/// The platform tells it from a stray `ud2` by these bytes. It finds the message, its length, the file, its length, the
/// line, and the start of the stack search for the callers, in `rdi`, `rsi`, `rdx`, `rcx`, `r8` and `r9`.
#[inline(always)]
pub(crate) fn panicked(message: *const u8, length: usize, file: &str, line: u32, info: &PanicInfo<'_>) -> ! {
    // SAFETY: the instruction never completes; it only reads registers.
    unsafe {
        asm!(
            "ud1 eax, dword ptr [rax + 0x62]",
            in("rdi") message,
            in("rsi") length,
            in("rdx") file.as_ptr(),
            in("rcx") file.len(),
            in("r8") line,
            // `info` lies in the frame of the function by which `core` panics; the frames of its callers are above.
            in("r9") info,
            options(noreturn, nostack, readonly),
        )
    }
}

/// Ends the module after a request of `asked` bytes that its heap could not meet.
///
/// The instruction is `ud1 eax, [rax + 0x68]`, with the requested bytes in `rdi`, their complement in `rsi` as a check,
/// and the panic in `r9`.
#[cfg(feature = "alloc")]
#[inline(always)]
pub(crate) fn out_of_heap(asked: u64, info: &PanicInfo<'_>) -> ! {
    // SAFETY: the instruction never completes.
    unsafe {
        asm!(
            "ud1 eax, dword ptr [rax + 0x68]",
            in("rdi") asked,
            in("rsi") !asked,
            in("r9") info,
            options(noreturn, nostack, readonly),
        )
    }
}
