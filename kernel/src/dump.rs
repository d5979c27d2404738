//! The dump of a trap in the kernel.

use bareflow_containment::TrapFrame;
use bareflow_suite::console::Style;

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

/// Shows a trap in the kernel itself.
pub fn dump_kernel_trap(frame: &TrapFrame, address: u64) {
    show(Style::Error, format_args!("[PANIC]"));
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
