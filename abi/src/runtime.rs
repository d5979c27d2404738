//! What becomes of a module's panic. Only in a module build.

use core::arch::asm;
use core::panic::PanicInfo;

/// A panic is an undefined instruction of its own: `ud1 eax, [rax + 0x62]`.
/// The loader's side tells it from a stray `ud2` by these bytes, and finds the
/// message, its length, the file, its length and the line in `rdi`, `rsi`,
/// `rdx`, `rcx` and `r8`.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let message = info.message().as_str().unwrap_or("a formatted message");
    #[cfg(feature = "alloc")]
    crate::heap::stop_if_used_up(info);
    let (file, line) = info.location().map_or(("", 0), |location| (location.file(), location.line()));
    // SAFETY: the instruction never completes; it only reads registers.
    unsafe {
        asm!(
            "ud1 eax, dword ptr [rax + 0x62]",
            in("rdi") message.as_ptr(),
            in("rsi") message.len(),
            in("rdx") file.as_ptr(),
            in("rcx") file.len(),
            in("r8") line,
            options(noreturn, nostack, readonly),
        )
    }
}
