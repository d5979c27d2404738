//! Work of the kernel while a module runs: the tick that interrupts the module makes the kernel do it, on its own
//! stack, before the module goes on.
//!
//! Only a module's own code is interrupted like this, never the kernel's, so none of the kernel's work is half done.
//! A tick during a service only sets a flag, and the work is done after the service. It may load, replace and call
//! modules, whose code is interrupted likewise.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::{Activation, current, defer_to_kernel_stack, with_call_suspended};
use crate::cpu;
use crate::frame::TrapFrame;
use crate::kernel::kernel;

/// The number of nested works: module code may run during one, and be interrupted by another.
static DEPTH: AtomicU32 = AtomicU32::new(0);

/// The depth at which no more work starts, and no module's code may run.
const DEEPEST: u32 = 2;

/// Whether work is due that a tick could not start, since the tick interrupted the kernel's work for a module.
static WAITING: AtomicBool = AtomicBool::new(false);

/// Returns whether the kernel's work may run module code.
pub fn may_run_modules() -> bool {
    DEPTH.load(Ordering::Relaxed) < DEEPEST
}

/// Does the kernel's work as soon as possible, if there is any. Called at a tick that interrupted a module, or the
/// kernel's work for one.
pub fn at_tick(frame: &mut TrapFrame, activation: Option<&Activation>) {
    if !may_run_modules() || !kernel().has_deferred_work() {
        return;
    }
    match activation {
        Some(activation) => defer_to_kernel_stack(frame, activation, work_deferred),
        None => WAITING.store(current().is_some(), Ordering::Relaxed),
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
pub fn after_service() {
    if is_waiting() {
        work();
    }
}

fn is_waiting() -> bool {
    WAITING.load(Ordering::Relaxed) && may_run_modules() && WAITING.swap(false, Ordering::Relaxed)
}

extern "C" fn work_deferred(_: &mut TrapFrame) {
    work();
}

fn work() {
    DEPTH.fetch_add(1, Ordering::Relaxed);
    // The interrupted module may have masked interrupts.
    cpu::clear_task_priority();
    with_call_suspended(|| kernel().run_deferred_work());
    DEPTH.fetch_sub(1, Ordering::Relaxed);
}
