//! What a trap means: a module's fault, a tick, or the end of the kernel.

use core::sync::atomic::{AtomicBool, Ordering};

use bareflow_loader::{Diagnosis, Fault, FaultKind};
use x86_64::instructions::interrupts;
use x86_64::registers::control::Cr2;

use super::descriptor_tables::KERNEL_CODE;
use super::dump::{diagnose, dump_kernel_trap, kind_of_invalid_opcode};
use super::frame::TrapFrame;
use super::origin::{is_behind_int, is_software};
use super::{debug, timer};
use crate::memory::image_range;
use crate::memory::layout::KERNEL_STACK;
use crate::power::{ExitCode, exit_qemu};
use crate::trampoline::{self, Activation};
use crate::{inject, serve, services};

/// Page fault error code: the access was a write.
const WRITE: u64 = 1 << 1;

/// Page fault error code: the access was an instruction fetch.
const FETCH: u64 = 1 << 4;

/// Vector of the non-maskable interrupt.
const NON_MASKABLE: u64 = 2;

/// Vectors of debug exceptions.
const DEBUG: u64 = 1;
const BREAKPOINT: u64 = 3;

/// What the trampoline gives for a vector where ring 3 executed `syscall`.
pub const SYSCALL: u64 = 0x100;

/// Bit 1, which is always set, and interrupts: no direction, no trap, no alignment check.
const CLEAR_FLAGS: u64 = 0x202;

/// Whether a trap is being handled. A trap inside of that is the end.
static HANDLING: AtomicBool = AtomicBool::new(false);

/// Handles every exception and interrupt. Called by the stubs.
pub extern "C" fn handle(frame: &mut TrapFrame) {
    if frame.vector == SYSCALL {
        // A service may take its time, and has a stack that no trap uses.
        interrupts::enable();
        return services::handle_syscall(frame);
    }
    // A non-maskable interrupt may come while the kernel works for a module, or
    // handles that module's fault: the kernel finishes what it does first.
    let (own, call) = (is_kernels_own(frame), trampoline::current());
    if let (NON_MASKABLE, true, Some(activation)) = (frame.vector, own, call) {
        return trampoline::request_abort(activation, trampoline::NMI_ARRIVED);
    }
    let activation = call.filter(|_| !own);
    if frame.vector == timer::SPURIOUS || frame.vector == DEBUG && debug::was_armed_register() {
        return;
    }
    let forged = activation.is_some_and(|activation| is_software(frame, activation));
    if frame.vector == timer::TICK && !forged {
        timer::end_of_interrupt();
        serve::drain_rx();
        if inject::on_tick(frame, activation) {
            return;
        }
        match call.filter(|call| trampoline::tick(call)) {
            Some(call) if own => return trampoline::request_abort(call, trampoline::BUDGET_EXPIRED),
            None => return serve::preempt::on_tick(frame, activation),
            _ => {}
        }
    }
    if [DEBUG, BREAKPOINT].contains(&frame.vector)
        && activation.is_some_and(|activation| inject::on_debug(frame, activation))
    {
        return;
    }
    if HANDLING.swap(true, Ordering::Relaxed) {
        // The state is beyond trust: nothing is printed but by the panic's way out.
        exit_qemu(ExitCode::Panicked);
    }
    let address = Cr2::read_raw();
    match activation.and_then(|activation| Some((activation, fault(frame, activation, address, forged)?))) {
        Some((activation, fault)) => {
            let diagnosis = diagnose(frame, activation, &fault);
            leave_module(frame, fault, Some(diagnosis));
        }
        None => {
            dump_kernel_trap(frame, address);
            exit_qemu(ExitCode::Panicked);
        }
    }
    HANDLING.store(false, Ordering::Relaxed);
}

/// Has execution go on in the kernel, where the module was called.
pub fn leave_module(frame: &mut TrapFrame, fault: Fault, diagnosis: Option<Diagnosis>) {
    if let Some((rip, rsp)) = trampoline::recover(fault, diagnosis) {
        (frame.rip, frame.rsp) = (rip, rsp);
        (frame.cs, frame.ss) = (KERNEL_CODE, 0);
        frame.rflags = CLEAR_FLAGS;
    }
}

/// Whether the kernel's own code was interrupted, rather than a module.
fn is_kernels_own(frame: &TrapFrame) -> bool {
    let (start, end) = image_range();
    let in_image = (start..end).contains(&frame.rip);
    // In the kernel domain the trampoline and the entries of services still run on the module's stack: a trap
    // there is the module's doing. Traps have stacks of their own, inside the image. In the user
    // domain the rings tell the two apart.
    let on_own_stack = (KERNEL_STACK.start..=KERNEL_STACK.top()).contains(&frame.rsp)
        || (start..end).contains(&frame.rsp)
        || trampoline::current().is_some_and(Activation::is_user);
    frame.cs & 3 == 0 && in_image && on_own_stack
}

/// What the module did; `None` for what no module can cause. It may have `forged` the trap.
fn fault(frame: &mut TrapFrame, activation: &Activation, address: u64, forged: bool) -> Option<Fault> {
    let mut accessed = None;
    let kind = match frame.vector {
        // An exception that software raises only looks like one, machine checks included.
        _ if forged => {
            if is_behind_int(frame, activation) {
                frame.rip = frame.rip.wrapping_sub(2);
            }
            FaultKind::GeneralProtection
        }
        0 => FaultKind::Divide,
        2 => FaultKind::NonMaskable,
        // The processor reports the address behind the instruction.
        3 => {
            frame.rip = frame.rip.wrapping_sub(1);
            FaultKind::Breakpoint
        }
        6 => kind_of_invalid_opcode(frame, activation),
        7 => FaultKind::InvalidOpcode,
        8 if activation.guards(address) => FaultKind::StackOverflow,
        14 => {
            accessed = Some(address);
            page_fault(frame.error, activation, address)
        }
        16 => FaultKind::X87,
        17 => FaultKind::Alignment,
        18 => return None,
        19 => FaultKind::Simd,
        timer::TICK => FaultKind::TimeBudget,
        _ => FaultKind::GeneralProtection,
    };
    Some(Fault { kind, offset: activation.image().segments.offset_of(frame.rip), address: accessed })
}

fn page_fault(error: u64, activation: &Activation, address: u64) -> FaultKind {
    if activation.guards(address) {
        FaultKind::StackOverflow
    } else if error & FETCH != 0 {
        FaultKind::PageExecute
    } else if error & WRITE != 0 {
        FaultKind::PageWrite
    } else {
        FaultKind::PageRead
    }
}
