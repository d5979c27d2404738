//! What people see of a trap.

use bareflow_loader::diagnosis::callers::SEARCHED_SIZE;
use bareflow_loader::diagnosis::{CODE_SIZE, Callers, Diagnosis, MESSAGE_SIZE, PanicMessage, Text, heap_request};
use bareflow_loader::report::Style;
use bareflow_loader::{Fault, FaultKind};

use super::frame::TrapFrame;
use crate::gate::Record;
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

/// What is to be known of a module's fault beyond its kind and place.
pub fn diagnose(frame: &TrapFrame, record: &Record, fault: &Fault) -> Diagnosis {
    let mut diagnosis = Diagnosis { services: record.services(), ..Diagnosis::at(frame.rip) };
    let TrapFrame { rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, .. } = *frame;
    diagnosis.registers = [
        frame.rip, frame.rflags, rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15,
    ];
    let segments = &record.image().segments;
    let count = (0..CODE_SIZE as u64).take_while(|&index| segments.is_text(frame.rip.wrapping_add(index), 1)).count();
    for (place, byte) in diagnosis.code.iter_mut().zip(record.bytes(frame.rip, count as u64).unwrap_or_default()) {
        *place = *byte;
        diagnosis.code_length += 1;
    }
    let text = |address, length: u64| {
        let shown = length.min(MESSAGE_SIZE as u64);
        Text::new(record.bytes(address, shown).unwrap_or(b"(unreadable)")).cut(length > shown)
    };
    // The panic handler's registers: see `abi`.
    diagnosis.panic = (fault.kind == FaultKind::Panic).then(|| PanicMessage {
        message: text(rdi, rsi),
        file: text(rdx, rcx),
        line: r8 as u32,
    });
    diagnosis.heap_request = heap_request(fault, rdi, rsi);
    if fault.kind.is_modules_own_word() {
        diagnosis.callers = callers(record, [r9, rsp]);
    }
    diagnosis
}

/// The return addresses on the module's stack, from the first of two addresses on that lies there.
fn callers(record: &Record, starts: [u64; 2]) -> Callers {
    let top = record.stack_top();
    let stack = |start: u64| {
        let length = top.checked_sub(start).filter(|&length| start.is_multiple_of(8) && length > 0)?;
        record.bytes(start, length.min(SEARCHED_SIZE))
    };
    let Some(stack) = starts.into_iter().find_map(stack) else { return Callers::NONE };
    Callers::find(&record.image().segments, stack, |address, length| record.bytes(address, length))
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
