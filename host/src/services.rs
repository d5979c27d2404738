//! What modules may ask of this process.

use std::arch::x86_64::_rdtsc;

use bareflow_abi::header::{SERVICE_CLOCK, SERVICE_LOG};
use bareflow_abi::{Context, Services};
use bareflow_loader::Printable;

use crate::gate;

/// The services there are.
pub(crate) const OFFERED: u32 = SERVICE_LOG | SERVICE_CLOCK;

/// The table modules are given.
pub(crate) static SERVICES: Services = Services::new(log, clock);

/// Longest line a module may log, in bytes.
const MAX_LINE: usize = 4096;

extern "C" fn log(_: *mut Context<'_>, text: *const u8, length: usize) {
    let Some(record) = gate::current() else { return };
    record.in_service.set(true);
    if length <= MAX_LINE && record.may_read(text.addr() as u64, length as u64) {
        // SAFETY: the bytes were just found to lie in memory of the module, which is mapped and waits.
        let bytes = unsafe { std::slice::from_raw_parts(text, length) };
        (record.log)(&format!("  [LOG] {}: {}", record.module, Printable(bytes)));
    } else {
        (record.log)(&format!(
            "  [WARN] {}: log of {length} bytes at {text:p}, expected at most {MAX_LINE} in its own memory",
            record.module
        ));
    }
    record.in_service.set(false);
}

extern "C" fn clock(_: *mut Context<'_>) -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and Linux lets processes use it.
    unsafe { _rdtsc() }
}
