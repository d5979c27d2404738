//! What modules may ask of the kernel.

use core::arch::x86_64::_rdtsc;
use core::sync::atomic::{AtomicBool, Ordering};

use bareflow_abi::header::{SERVICE_CLOCK, SERVICE_LOG};
use bareflow_abi::{Context, Services};
use bareflow_loader::Printable;
use bareflow_loader::report::Style;

use crate::{call, console};

/// The services there are.
pub const OFFERED: u32 = SERVICE_LOG | SERVICE_CLOCK;

/// The table modules are given.
pub static SERVICES: Services = Services::new(log, clock);

/// Longest line a module may log, in bytes.
const MAX_LINE: usize = 4096;

/// Whether a module's call is inside a service, that is, in the kernel's own code.
static IN_SERVICE: AtomicBool = AtomicBool::new(false);

/// Whether the kernel's own code runs on behalf of a module.
pub fn in_service() -> bool {
    IN_SERVICE.load(Ordering::Relaxed)
}

extern "C" fn log(_: *mut Context<'_>, text: *const u8, length: usize) {
    IN_SERVICE.store(true, Ordering::Relaxed);
    if let Some(record) = call::current() {
        if length <= MAX_LINE && record.may_read(text as u64, length as u64) {
            // SAFETY: the bytes were just found to lie in memory of the module, which is mapped and waits.
            let bytes = unsafe { core::slice::from_raw_parts(text, length) };
            console::show(Style::Plain, format_args!("  [LOG] {}: {}\n", record.module, Printable(bytes)));
        } else {
            console::show(
                Style::Warning,
                format_args!(
                    "  [WARN] {}: log of {length} bytes at {text:p}, expected at most {MAX_LINE} in its own memory\n",
                    record.module
                ),
            );
        }
    }
    IN_SERVICE.store(false, Ordering::Relaxed);
}

extern "C" fn clock(_: *mut Context<'_>) -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and ring 0 may use it.
    unsafe { _rdtsc() }
}
