//! What modules may ask of the kernel.

use core::arch::global_asm;
use core::arch::x86_64::_rdtsc;

use bareflow_abi::header::{SERVICE_CLOCK, SERVICE_LOG};
use bareflow_abi::{Context, Services};
use bareflow_loader::Printable;
use bareflow_loader::report::Style;

use crate::{call, console};

/// The services there are.
pub const OFFERED: u32 = SERVICE_LOG | SERVICE_CLOCK;

/// The table modules are given.
pub static SERVICES: Services = Services::new(bareflow_log, clock);

/// Longest line a module may log, in bytes.
const MAX_LINE: usize = 4096;

unsafe extern "C" {
    safe fn bareflow_log(context: *mut Context<'_>, text: *const u8, length: usize);
}

// A service runs on the kernel's stack, below what the gate saved there: how
// much of the module's stack is left is no concern of the kernel's code. A
// module that has no room for the two words here overflows by itself.
global_asm!(
    ".global bareflow_log",
    "bareflow_log:",
    "push rbp",
    "mov rbp, rsp",
    // What compiled code relies on, whatever the module did (System V ABI 3.2.1).
    "cld",
    "mov rax, [rip + bareflow_current_call]",
    "mov rsp, [rax]",
    "and rsp, -16",
    "call {log}",
    "mov rsp, rbp",
    "pop rbp",
    "ret",
    log = sym log,
);

extern "C" fn log(_: *mut Context<'_>, text: *const u8, length: usize) {
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
    call::break_off_if_asked();
}

extern "C" fn clock(_: *mut Context<'_>) -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and ring 0 may use it.
    unsafe { _rdtsc() }
}
