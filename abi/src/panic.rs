//! The panic handler of modules. Only in a module build.

use core::arch::asm;
#[cfg(not(feature = "short-panics"))]
use core::fmt::{self, Write};
#[cfg(not(feature = "short-panics"))]
use core::mem::MaybeUninit;
use core::panic::PanicInfo;

#[cfg(not(feature = "short-panics"))]
use crate::trap_codes::PANIC_TEXT_SIZE;

/// Ends the module by an undefined instruction of its own: `ud1 eax, [rax + 0x62]`.
///
/// The platform tells it from a stray `ud2` by these bytes. It finds the message, its length, the file, its length, the
/// line, and the start of the stack search for the callers, in `rdi`, `rsi`, `rdx`, `rcx`, `r8` and `r9`.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    #[cfg(feature = "alloc")]
    crate::heap::stop_if_exhausted(info);
    let message = info.message();
    #[cfg(not(feature = "short-panics"))]
    let mut text = Formatted { bytes: [MaybeUninit::uninit(); PANIC_TEXT_SIZE], length: 0 };
    let (start, length) = match message.as_str() {
        Some(message) => (message.as_ptr(), message.len()),
        #[cfg(feature = "short-panics")]
        None => {
            let message = "a formatted message";
            (message.as_ptr(), message.len())
        }
        #[cfg(not(feature = "short-panics"))]
        None => {
            // An error means that the buffer is full, or that a `Display` gave up. The text so far is reported.
            let _ = text.write_fmt(format_args!("{message}"));
            (text.bytes.as_ptr().cast(), text.length)
        }
    };
    let (file, line) = info.location().map_or(("", 0), |location| (location.file(), location.line()));
    // SAFETY: the instruction never completes; it only reads registers.
    unsafe {
        asm!(
            "ud1 eax, dword ptr [rax + 0x62]",
            in("rdi") start,
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

/// A formatted message, cut to the buffer. A length greater than the buffer means that it was cut.
#[cfg(not(feature = "short-panics"))]
struct Formatted {
    bytes: [MaybeUninit<u8>; PANIC_TEXT_SIZE],
    length: usize,
}

#[cfg(not(feature = "short-panics"))]
impl Write for Formatted {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for byte in part.bytes() {
            let Some(target) = self.bytes.get_mut(self.length) else {
                self.length = PANIC_TEXT_SIZE + 1;
                return Err(fmt::Error);
            };
            target.write(byte);
            self.length += 1;
        }
        Ok(())
    }
}
