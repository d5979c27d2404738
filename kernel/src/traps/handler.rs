//! What a trap means: a module's fault, or the end of the kernel.

use core::sync::atomic::{AtomicBool, Ordering};

use bareflow_abi::trap::PANIC_INSTRUCTION;
use bareflow_loader::{Fault, FaultKind};
use x86_64::registers::control::Cr2;

use super::dump::{dump_kernel_trap, dump_module_fault};
use super::frame::TrapFrame;
use crate::call::{self, Record};
use crate::memory::{KERNEL_STACK, MODULE_STACK, image_range};
use crate::power::{End, leave};

/// Page fault error code: the access was a write.
const WRITE: u64 = 1 << 1;

/// Page fault error code: the access was an instruction fetch.
const FETCH: u64 = 1 << 4;

/// Vector of the non-maskable interrupt.
const NON_MASKABLE: u64 = 2;

/// First byte of `int N`, which the exception's number follows.
const INT: u8 = 0xcd;

/// Whether a trap is being handled. A trap inside of that is the end.
static HANDLING: AtomicBool = AtomicBool::new(false);

/// Handles every exception. Called by the stubs.
pub extern "C" fn handle(frame: &mut TrapFrame) {
    // A non-maskable interrupt may come while the kernel works for a module, or
    // handles that module's fault: the kernel finishes what it does first.
    if frame.vector == NON_MASKABLE && call::current().is_some() && is_kernels_own(frame) {
        return call::ask_to_break_off();
    }
    if HANDLING.swap(true, Ordering::Relaxed) {
        // The state is beyond trust: nothing is printed but by the panic's way out.
        leave(End::Panicked);
    }
    let address = Cr2::read_raw();
    let record = call::current().filter(|_| !is_kernels_own(frame));
    match record.and_then(|record| Some((record, fault(frame, record, address)?))) {
        Some((record, fault)) => {
            dump_module_fault(frame, record, &fault);
            if let Some((rip, rsp)) = call::recover(fault) {
                (frame.rip, frame.rsp) = (rip, rsp);
                // Direction, trap and alignment-check flags are the module's: bit 1 is always set.
                frame.rflags = 2;
            }
        }
        None => {
            dump_kernel_trap(frame, address);
            leave(End::Panicked);
        }
    }
    HANDLING.store(false, Ordering::Relaxed);
}

/// Whether the kernel's own code was interrupted, rather than a module.
fn is_kernels_own(frame: &TrapFrame) -> bool {
    let (start, end) = image_range();
    let in_image = (start..end).contains(&frame.rip);
    // The gate and the entries of services still run on the module's stack: a trap there is the module's doing.
    // Traps have stacks of their own, inside the image.
    let on_kernel_stack = (KERNEL_STACK.start..=KERNEL_STACK.top()).contains(&frame.rsp);
    in_image && (on_kernel_stack || (start..end).contains(&frame.rsp))
}

/// What the module did; `None` for what no module can cause.
fn fault(frame: &mut TrapFrame, record: &Record, address: u64) -> Option<Fault> {
    let mut rip = frame.rip;
    let mut accessed = None;
    let kind = match frame.vector {
        // An exception that software raises only looks like one, machine checks included.
        vector if is_code(record, rip.wrapping_sub(2), [INT, vector as u8]) => {
            rip = rip.wrapping_sub(2);
            FaultKind::GeneralProtection
        }
        0 => FaultKind::Divide,
        2 => FaultKind::NonMaskable,
        // The processor reports the address behind the instruction.
        3 => {
            rip = rip.wrapping_sub(1);
            FaultKind::Breakpoint
        }
        6 if is_code(record, rip, PANIC_INSTRUCTION) => FaultKind::Panic,
        6 | 7 => FaultKind::InvalidOpcode,
        8 if MODULE_STACK.guards(address) => FaultKind::StackOverflow,
        14 => {
            accessed = Some(address);
            page_fault(frame.error, address)
        }
        16 => FaultKind::X87,
        17 => FaultKind::Alignment,
        18 => return None,
        19 => FaultKind::Simd,
        _ => FaultKind::GeneralProtection,
    };
    Some(Fault { kind, offset: record.image().offset_of(rip), address: accessed })
}

fn page_fault(error: u64, address: u64) -> FaultKind {
    if MODULE_STACK.guards(address) {
        FaultKind::StackOverflow
    } else if error & FETCH != 0 {
        FaultKind::PageExecute
    } else if error & WRITE != 0 {
        FaultKind::PageWrite
    } else {
        FaultKind::PageRead
    }
}

/// Whether the module's text has these bytes at `address`.
fn is_code<const N: usize>(record: &Record, address: u64, code: [u8; N]) -> bool {
    if !record.image().is_text(address) || !record.image().contains(address, N as u64) {
        return false;
    }
    // SAFETY: the bytes were just found to lie in the module's text, which is mapped.
    unsafe { (address as *const [u8; N]).read() == code }
}
