//! Work of the kernel while a module runs: the tick that interrupts the module makes the kernel do it, on its own
//! stack, before the module goes on.
//!
//! Only a module's own code is interrupted like this, never the kernel's, so none of the kernel's work is half done.
//! A tick during a service only sets a flag, and the work is done after the service. It may load, replace and call
//! modules, whose code is interrupted likewise.

use core::sync::atomic::Ordering;

use x86_64::registers::control::Cr8;

use super::{Activation, call_apart, current, defer_to_kernel_stack, this_processor, with_call_suspended};
use crate::frame::TrapFrame;
use crate::kernel::kernel;

/// The depth at which no more work starts, and no module's code may run.
const DEEPEST: u32 = 2;

/// Returns whether the kernel's work may run module code.
pub fn may_run_modules() -> bool {
    this_processor().deferred_depth.load(Ordering::Relaxed) < DEEPEST
}

/// Does the kernel's work as soon as possible, if there is any. Called at a tick that interrupted a module, or the
/// kernel's work for one.
pub fn at_tick(frame: &mut TrapFrame, activation: Option<&Activation>) {
    if !may_run_modules() || !kernel().has_deferred_work() {
        return;
    }
    match activation {
        Some(activation) => defer_to_kernel_stack(frame, activation, work_deferred),
        None => this_processor().is_work_waiting.store(current().is_some(), Ordering::Relaxed),
    }
}

/// Does work that waits. Called after a service that a module in ring 3 called.
pub fn after_syscall(frame: &mut TrapFrame, activation: &Activation) {
    if is_waiting() {
        defer_to_kernel_stack(frame, activation, work_deferred);
    }
}

/// Does work that waits. Called after a service, on the kernel's stack, with flags and control words as compiled code
/// requires.
#[inline(always)]
pub fn after_service() {
    if is_waiting() {
        work();
    }
}

#[inline(always)]
fn is_waiting() -> bool {
    let waiting = &this_processor().is_work_waiting;
    waiting.load(Ordering::Relaxed) && may_run_modules() && waiting.swap(false, Ordering::Relaxed)
}

extern "C" fn work_deferred(_: &mut TrapFrame) {
    work();
}

fn work() {
    let depth = &this_processor().deferred_depth;
    depth.fetch_add(1, Ordering::Relaxed);
    // The interrupted module may have masked interrupts.
    Cr8::write(None);
    with_call_suspended(|| call_apart(|| kernel().run_deferred_work()));
    depth.fetch_sub(1, Ordering::Relaxed);
}
