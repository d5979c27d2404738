//! What a module's code needs at run time and `core` does not bring: the
//! panic handler and the memory functions LLVM calls. Only in a module build.

use core::arch::{asm, global_asm};
use core::panic::PanicInfo;

// The string instructions need no loop and no vector register, and processors
// since 2013 (ERMSB, Intel optimization manual 3.7.6) run them at full width.
// The direction flag is clear on entry (System V ABI 3.2.1). `memmove` copies
// backwards only where a forward copy would overwrite what it has yet to read.
global_asm!(
    ".macro function name",
    ".section .text.\\name, \"ax\", @progbits",
    ".weak \\name",
    ".type \\name, @function",
    "\\name:",
    ".endm",
    "function memcpy",
    "mov rax, rdi",
    "mov rcx, rdx",
    "rep movsb",
    "ret",
    "function memmove",
    "mov rax, rdi",
    "mov rcx, rdx",
    "mov r8, rdi",
    "sub r8, rsi",
    "cmp r8, rdx",
    "jb 1f",
    "rep movsb",
    "ret",
    "1: lea rdi, [rdi + rdx - 1]",
    "lea rsi, [rsi + rdx - 1]",
    "std",
    "rep movsb",
    "cld",
    "ret",
    "function memset",
    "mov r8, rdi",
    "mov eax, esi",
    "mov rcx, rdx",
    "rep stosb",
    "mov rax, r8",
    "ret",
    "function bcmp",
    "jmp memcmp",
    "function memcmp",
    "xor eax, eax",
    "mov rcx, rdx",
    "test rcx, rcx",
    "jz 1f",
    "repe cmpsb",
    "je 1f",
    "movzx eax, byte ptr [rdi - 1]",
    "movzx ecx, byte ptr [rsi - 1]",
    "sub eax, ecx",
    "1: ret",
    ".purgem function",
    ".text",
);

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
