//! The panic handler of modules. Only in a module build.

#[cfg(not(feature = "short-panics"))]
use core::fmt::{self, Write};
#[cfg(not(feature = "short-panics"))]
use core::mem::MaybeUninit;
use core::panic::PanicInfo;

#[cfg(not(feature = "short-panics"))]
use crate::trap_codes::PANIC_TEXT_SIZE;

/// Formats the message, and ends the module by the machine's trap.
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
    crate::machine::trap::panicked(start, length, file, line, info)
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
