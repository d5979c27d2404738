//! Classification of a module's faults from signals and registers.

use std::ffi::c_int;

use bareflow_loader::diagnosis::Diagnosis;
use bareflow_loader::diagnosis::decode::Memory;
use bareflow_loader::{Fault, FaultKind};
use libc::{
    REG_EFL, REG_ERR, REG_R8, REG_R9, REG_RCX, REG_RDI, REG_RDX, REG_RIP, REG_RSI, REG_RSP, REG_TRAPNO, siginfo_t,
};

use crate::call::Activation;

/// The registers that a signal handler gets.
pub(crate) type Registers = [i64; 23];

/// The size of an instruction that calls the system, in bytes: `syscall`, `sysenter`, `int 0x80`.
const SYSTEM_CALL_SIZE: u64 = 2;

/// Page fault error code: the access was a write.
const WRITE: i64 = 1 << 1;

/// Page fault error code: the access was an instruction fetch.
const FETCH: i64 = 1 << 4;

/// The registers of a diagnosis, in its order.
const REGISTERS: [c_int; 18] = [
    REG_RIP,
    REG_EFL,
    libc::REG_RAX,
    libc::REG_RBX,
    REG_RCX,
    REG_RDX,
    REG_RSI,
    REG_RDI,
    libc::REG_RBP,
    REG_RSP,
    REG_R8,
    REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// Returns the module's fault.
///
/// The context contains the processor's exception number, which is stale if the system itself sent the signal.
/// Therefore signal and number must agree.
pub(crate) fn fault(activation: &Activation, signal: c_int, info: &siginfo_t, registers: &Registers) -> Fault {
    let register = |index: c_int| registers[index as usize].cast_unsigned();
    let mut rip = register(REG_RIP);
    let mut address = None;
    let kind = match registers[REG_TRAPNO as usize] {
        // Not an exception: the system refused a call, and reports the address after it.
        _ if signal == libc::SIGSYS => {
            rip = rip.wrapping_sub(SYSTEM_CALL_SIZE);
            FaultKind::GeneralProtection
        }
        0 if signal == libc::SIGFPE => FaultKind::Divide,
        3 if signal == libc::SIGTRAP => {
            rip = rip.wrapping_sub(1);
            FaultKind::Breakpoint
        }
        6 if signal == libc::SIGILL => memory_of(activation).kind_of_invalid_opcode(rip),
        14 if info.si_code != libc::SI_KERNEL => {
            // SAFETY: signals for this exception carry the accessed address.
            let accessed = unsafe { info.si_addr() }.addr() as u64;
            address = Some(accessed);
            page_fault(activation, registers[REG_ERR as usize], accessed)
        }
        16 if signal == libc::SIGFPE => FaultKind::X87,
        17 if signal == libc::SIGBUS => FaultKind::Alignment,
        19 if signal == libc::SIGFPE => FaultKind::Simd,
        _ => FaultKind::GeneralProtection,
    };
    Fault { kind, offset: activation.image().segments.offset_of(rip), address }
}

/// Returns the fault of a call that a service ends, as if the service had returned first.
pub(crate) fn service_end(activation: &Activation, noted: Fault, registers: &mut Registers) -> Fault {
    let stack = registers[REG_RSP as usize];
    if activation.may_read(stack.cast_unsigned(), 8) {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(bytes_at(stack.cast_unsigned(), 8));
        registers[REG_RIP as usize] = i64::from_le_bytes(bytes);
        registers[REG_RSP as usize] = stack + 8;
    }
    Fault { offset: offset_of(activation, registers), ..noted }
}

/// Returns the fault of a call whose time is over.
pub(crate) fn time_budget(activation: &Activation, registers: &Registers) -> Fault {
    Fault { kind: FaultKind::TimeBudget, offset: offset_of(activation, registers), address: None }
}

/// Returns the current offset in the module's text.
fn offset_of(activation: &Activation, registers: &Registers) -> Option<u64> {
    let rip = registers[REG_RIP as usize].cast_unsigned();
    activation.image().segments.is_text(rip, 1).then(|| rip - activation.image().segments.base)
}

fn page_fault(activation: &Activation, error: i64, address: u64) -> FaultKind {
    if error & FETCH != 0 {
        FaultKind::PageExecute
    } else if activation.thread().stack.guards(address) {
        FaultKind::StackOverflow
    } else if error & WRITE != 0 {
        FaultKind::PageWrite
    } else {
        FaultKind::PageRead
    }
}

/// Returns the details of a fault, beyond its kind and offset.
pub(crate) fn diagnosis(activation: &Activation, fault: &Fault, registers: &Registers) -> Diagnosis {
    let registers = REGISTERS.map(|index| registers[index as usize].cast_unsigned());
    memory_of(activation).diagnose(fault, registers, activation.services())
}

/// Returns the module's memory.
fn memory_of(activation: &Activation) -> Memory<'_, impl Fn(u64, u64) -> Option<&'static [u8]>> {
    let bytes = |address, length| activation.may_read(address, length).then(|| bytes_at(address, length));
    Memory { segments: &activation.image().segments, stack_top: activation.stack_top(), bytes }
}

/// Returns bytes that were found to be the module's.
fn bytes_at(address: u64, length: u64) -> &'static [u8] {
    // SAFETY: callers just found that the bytes lie in the module's memory, which is mapped; the module waits, and the
    // bytes are copied before it runs on.
    unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(address as usize), length as usize) }
}
