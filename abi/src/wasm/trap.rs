//! The imports by which a module ends itself.

use core::panic::PanicInfo;

use super::imports;

/// Ends the module, and hands over the panic's message and place.
pub(crate) fn panicked(message: *const u8, length: usize, file: &str, line: u32, _: &PanicInfo<'_>) -> ! {
    // SAFETY: the handler passes pointers and lengths of texts.
    unsafe { imports::panic(message, length, file.as_ptr(), file.len(), line) }
}

/// Ends the module after a request that its memory could not meet.
#[cfg(feature = "alloc")]
pub(crate) fn out_of_heap(_: u64, _: &PanicInfo<'_>) -> ! {
    imports::out_of_heap()
}
