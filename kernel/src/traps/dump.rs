//! What people see of a trap.

use bareflow_loader::report::Style;
use bareflow_loader::{Fault, FaultKind, Printable};

use super::frame::TrapFrame;
use crate::call::Record;
use crate::console::show;

/// The exceptions' names (Intel SDM volume 3, table 7-1).
const NAMES: [&str; 22] = [
    "#DE divide error",
    "#DB debug",
    "NMI",
    "#BP breakpoint",
    "#OF overflow",
    "#BR bound range",
    "#UD invalid opcode",
    "#NM device not available",
    "#DF double fault",
    "coprocessor overrun",
    "#TS invalid TSS",
    "#NP segment not present",
    "#SS stack segment",
    "#GP general protection",
    "#PF page fault",
    "reserved",
    "#MF x87 exception",
    "#AC alignment check",
    "#MC machine check",
    "#XM SIMD exception",
    "#VE virtualization",
    "#CP control protection",
];

/// Longest part of a panic's message that is shown, in bytes.
const MESSAGE_LENGTH: u64 = 512;

/// Shows a module's fault.
pub(super) fn dump_module_fault(frame: &TrapFrame, record: &Record, fault: &Fault) {
    show(Style::Bad, format_args!("[FAULT]"));
    show(Style::Plain, format_args!(" module {}: {fault}\n", record.module));
    if fault.kind == FaultKind::Panic {
        let message = text(record, frame.rdi, frame.rsi);
        let file = text(record, frame.rdx, frame.rcx);
        show(Style::Plain, format_args!("  panicked: {message} ({file}:{})\n", frame.r8));
    }
    dump_registers(frame);
}

/// Shows a trap in the kernel itself.
pub(super) fn dump_kernel_trap(frame: &TrapFrame, address: u64) {
    show(Style::Bad, format_args!("[PANIC]"));
    show(Style::Plain, format_args!(" exception in the kernel, address {address:#x}\n"));
    dump_registers(frame);
}

fn dump_registers(frame: &TrapFrame) {
    let name = NAMES.get(frame.vector as usize).copied().unwrap_or("reserved");
    let TrapFrame { rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, .. } = frame;
    let TrapFrame { vector, error, rip, rflags, cs, ss, .. } = frame;
    show(Style::Plain, format_args!("  vector {vector} ({name}), error code {error:#x}\n"));
    show(Style::Plain, format_args!("  rip {rip:#018x} rflags {rflags:#x} cs {cs:#x} ss {ss:#x}\n"));
    show(Style::Plain, format_args!("  rax {rax:#018x} rbx {rbx:#018x} rcx {rcx:#018x}\n"));
    show(Style::Plain, format_args!("  rdx {rdx:#018x} rsi {rsi:#018x} rdi {rdi:#018x}\n"));
    show(Style::Plain, format_args!("  rbp {rbp:#018x} rsp {rsp:#018x} r8  {r8:#018x}\n"));
    show(Style::Plain, format_args!("  r9  {r9:#018x} r10 {r10:#018x} r11 {r11:#018x}\n"));
    show(Style::Plain, format_args!("  r12 {r12:#018x} r13 {r13:#018x} r14 {r14:#018x}\n"));
    show(Style::Plain, format_args!("  r15 {r15:#018x}\n"));
}

/// A text that a panic's registers point to, if it is the module's to show.
fn text(record: &Record, address: u64, length: u64) -> Printable<'static> {
    let length = length.min(MESSAGE_LENGTH);
    if !record.may_read(address, length) {
        return Printable(b"(unreadable)");
    }
    // SAFETY: the bytes were just found to lie in the module's memory, which is
    // mapped; the text is shown before the module's memory can be released.
    Printable(unsafe { core::slice::from_raw_parts(address as *const u8, length as usize) })
}
