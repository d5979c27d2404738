//! The handler of all traps: ends a module's call, counts a tick, or leaves the trap to the kernel.

use core::sync::atomic::Ordering;

use bareflow_loader::{Fault, FaultKind};
use bareflow_runtime::{Exception, RunningCall};
use x86_64::instructions::interrupts;
use x86_64::registers::control::Cr2;

use super::debug;
use super::origin::{follows_int, is_software_interrupt};
use crate::call::{self, Activation, deferred_work, leave_module, this_processor};
use crate::frame::{SYSCALL, TrapFrame};
use crate::kernel::{kernel, ticks};
use crate::{services, timer};

/// The vector of the non-maskable interrupt.
const NON_MASKABLE: u64 = 2;

/// The vectors of debug exceptions.
const DEBUG: u64 = 1;
const BREAKPOINT: u64 = 3;

/// Handles every exception and interrupt. Called by the stubs.
pub extern "C" fn handle(frame: &mut TrapFrame) {
    if frame.vector == SYSCALL {
        // A service may run long, so interrupts are on. No trap uses its stack.
        interrupts::enable();
        return services::handle_syscall(frame);
    }
    // A non-maskable interrupt may arrive while the kernel works for a module, or handles its fault. The kernel then
    // first finishes that work.
    let (own, running) = (is_kernels_own(frame), call::current());
    if let (NON_MASKABLE, true, Some(activation)) = (frame.vector, own, running) {
        return call::request_abort(activation, call::NMI_ARRIVED);
    }
    let activation = running.filter(|_| !own);
    if frame.vector == timer::SPURIOUS {
        // The controller's own has no end, unlike one that somebody sent, which would keep the ticks away.
        return end_interrupt(timer::SPURIOUS as u8);
    }
    if frame.vector == DEBUG && debug::was_armed_register() {
        return;
    }
    let is_software = activation.is_some_and(|activation| is_software_interrupt(frame, activation));
    if frame.vector == timer::TICK && !is_software {
        timer::count_tick();
        ticks().inspect(|ticks| ticks.end_of_interrupt());
        if kernel().tick(frame, activation.is_some()) {
            return;
        }
        match running.filter(|activation| call::tick(activation, own)) {
            Some(expired) if own => return call::request_abort(expired, call::BUDGET_EXPIRED),
            None => return deferred_work::at_tick(frame, activation),
            _ => {}
        }
    }
    if (timer::FIRST_DEVICE..=timer::LAST_DEVICE).contains(&frame.vector) && !is_software {
        return device_interrupt(frame, activation);
    }
    if frame.vector >= timer::FIRST_UNUSED && !is_software {
        timer::count_unasked();
        return end_interrupt(frame.vector as u8);
    }
    if [DEBUG, BREAKPOINT].contains(&frame.vector) && activation.is_some() && kernel().debug(frame) {
        return;
    }
    let address = Cr2::read_raw();
    let is_handling = &this_processor().is_handling_trap;
    if is_handling.swap(true, Ordering::Relaxed) {
        return kernel().trap(frame, address, true);
    }
    match activation.and_then(|activation| Some((activation, fault(frame, activation, address, is_software)?))) {
        Some((activation, fault)) => leave_module(frame, activation, fault),
        None => kernel().trap(frame, address, false),
    }
    is_handling.store(false, Ordering::Relaxed);
}

/// Takes an interrupt of a device's.
#[cold]
#[inline(never)]
fn device_interrupt(frame: &mut TrapFrame, activation: Option<&Activation>) {
    let vector = frame.vector as u8;
    kernel().interrupt(vector);
    end_interrupt(vector);
    deferred_work::at_tick(frame, activation);
}

/// Signals the end of an interrupt. One that software raised by `int` has none.
fn end_interrupt(vector: u8) {
    if let Some(ticks) = ticks().filter(|ticks| ticks.is_vector_in_service(vector)) {
        ticks.end_of_interrupt();
    }
}

/// Returns whether the kernel's own code was interrupted, rather than a module.
fn is_kernels_own(frame: &TrapFrame) -> bool {
    let (image, stack) = (kernel().image(), kernel().stack());
    // In the kernel domain the trampoline and the entries of services still run on the module's stack, and a trap
    // there is the module's fault. Traps have stacks of their own, inside the image. In the user domain the ring
    // tells the two apart.
    let on_own_stack = (stack.start..=stack.end).contains(&frame.rsp)
        || image.contains(&frame.rsp)
        || call::current().is_some_and(Activation::is_user);
    frame.cs & 3 == 0 && image.contains(&frame.rip) && on_own_stack
}

/// Returns the module's fault; `None` for a trap that no module can cause. `is_software`: software raised the trap.
fn fault(frame: &mut TrapFrame, activation: &Activation, address: u64, is_software: bool) -> Option<Fault> {
    let kind = match frame.vector {
        // An exception that software raises is none, machine checks included.
        _ if is_software => {
            if follows_int(frame, activation) {
                frame.rip = frame.rip.wrapping_sub(2);
            }
            FaultKind::GeneralProtection
        }
        NON_MASKABLE => FaultKind::NonMaskable,
        8 if activation.guards(address) => FaultKind::StackOverflow,
        18 => return None,
        timer::TICK => FaultKind::TimeBudget,
        vector => {
            let exception = Exception { vector, error: frame.error, address };
            return Some(activation.fault_of(exception, &mut frame.rip));
        }
    };
    Some(Fault { kind, offset: activation.segments().offset_of(frame.rip), address: None })
}
