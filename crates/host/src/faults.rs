//! Classification of a module's faults from signals and registers.

use std::ffi::c_int;

use bareflow_loader::diagnosis::Diagnosis;
use bareflow_loader::{Fault, FaultKind};
use bareflow_runtime::{Exception, RunningCall};
use libc::{
    REG_EFL, REG_ERR, REG_R8, REG_R9, REG_RCX, REG_RDI, REG_RDX, REG_RIP, REG_RSI, REG_RSP, REG_TRAPNO, siginfo_t,
};

use crate::call::Activation;

/// The registers that a signal handler gets.
pub(crate) type Registers = [i64; 23];

/// The size of an instruction that calls the system, in bytes: `syscall`, `sysenter`, `int 0x80`.
const SYSTEM_CALL_SIZE: u64 = 2;

/// The vector of the exception for everything that has none of its own.
const GENERAL_PROTECTION: u64 = 13;

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
    let vector = match (register(REG_TRAPNO), signal) {
        // Not an exception: the system refused a call, and reports the address after it.
        (_, libc::SIGSYS) => {
            rip = rip.wrapping_sub(SYSTEM_CALL_SIZE);
            GENERAL_PROTECTION
        }
        (14, _) if info.si_code == libc::SI_KERNEL => GENERAL_PROTECTION,
        (vector @ (0 | 16 | 19), libc::SIGFPE)
        | (vector @ 3, libc::SIGTRAP)
        | (vector @ 6, libc::SIGILL)
        | (vector @ 14, _)
        | (vector @ 17, libc::SIGBUS) => vector,
        _ => GENERAL_PROTECTION,
    };
    // SAFETY: the system fills in all bytes of every siginfo. These are the address of a page fault; whatever they are
    // for another signal, they are compared and shown, and never accessed.
    let address = unsafe { info.si_addr() }.addr() as u64;
    activation.fault_of(Exception { vector, error: register(REG_ERR), address }, &mut rip)
}

/// Returns the fault of a call that a service ends, as if the service had returned first.
pub(crate) fn service_end(activation: &Activation, noted: Fault, registers: &mut Registers) -> Fault {
    let stack = registers[REG_RSP as usize];
    if let Some(caller) = activation.bytes(stack.cast_unsigned(), 8).and_then(|bytes| bytes.try_into().ok()) {
        registers[REG_RIP as usize] = i64::from_le_bytes(caller);
        registers[REG_RSP as usize] = stack + 8;
    }
    Fault { offset: offset_of(activation, registers), ..noted }
}

/// Returns the fault of a call whose time is over.
pub(crate) fn time_budget(activation: &Activation, registers: &Registers) -> Fault {
    Fault { kind: FaultKind::TimeBudget, offset: offset_of(activation, registers), address: None }
}

/// Returns the current offset in the module.
fn offset_of(activation: &Activation, registers: &Registers) -> Option<u64> {
    activation.segments().offset_of(registers[REG_RIP as usize].cast_unsigned())
}

/// Returns the details of a fault, beyond its kind and offset.
pub(crate) fn diagnosis(activation: &Activation, fault: &Fault, registers: &Registers) -> Diagnosis {
    activation.diagnose(fault, REGISTERS.map(|index| registers[index as usize].cast_unsigned()))
}
