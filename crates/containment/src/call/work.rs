//! Work of the kernel while a module runs: the tick that interrupts the module makes the kernel do it, on its own
//! stack, before the module goes on.
//!
//! Only a module's own code is interrupted like this, never the kernel's, so none of the kernel's work is half done.
//! A tick during a service only sets a flag, and the work is done after the service. It may load, replace and call
//! modules, whose code is interrupted likewise.

use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use x86_64::instructions::interrupts;

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
    if !may_run_modules() || !kernel().has_work() {
        return;
    }
    match activation {
        Some(activation) => defer_to_kernel_stack(frame, activation, work_deferred),
        None => WAITING.store(current().is_some(), Ordering::Relaxed),
    }
}

/// Does work that waits. Called after a service that a module in ring 3 called.
pub fn behind_service(frame: &mut TrapFrame, activation: &Activation) {
    if is_waiting() {
        defer_to_kernel_stack(frame, activation, work_deferred);
    }
}

/// Does work that waits. Called after a service, on the kernel's stack, with flags and control words as compiled code
/// requires.
pub fn behind_call() {
    if is_waiting() {
        work();
    }
}

/// Does work that waits. Called after a service that a module in ring 0 called, on the kernel's stack. A module that
/// has interrupts disabled is not interrupted by this either.
pub fn behind_service_in_ring_0() {
    if is_waiting() && interrupts::are_enabled() {
        bareflow_work();
    }
}

fn is_waiting() -> bool {
    WAITING.load(Ordering::Relaxed) && may_run_modules() && WAITING.swap(false, Ordering::Relaxed)
}

unsafe extern "C" {
    safe fn bareflow_work();
}

// Code of another module may run, so flags and control words are set as that code may expect, and restored for the
// module that called the service (System V ABI 3.2.1). Other registers of these units need not be preserved.
global_asm!(
    ".global bareflow_work",
    "bareflow_work:",
    "push rbp",
    "mov rbp, rsp",
    "pushfq",
    "push 0x202",
    "popfq",
    "clts",
    "sub rsp, 24",
    "and rsp, -16",
    "stmxcsr [rsp]",
    "fnstcw [rsp + 4]",
    "mov dword ptr [rsp + 8], 0x1f80",
    "ldmxcsr [rsp + 8]",
    "fninit",
    "call {work}",
    "fninit",
    "fldcw [rsp + 4]",
    "ldmxcsr [rsp]",
    "lea rsp, [rbp - 8]",
    "popfq",
    "pop rbp",
    "ret",
    work = sym work,
);

extern "C" fn work_deferred(_: &mut TrapFrame) {
    work();
}

extern "C" fn work() {
    DEPTH.fetch_add(1, Ordering::Relaxed);
    // The interrupted module may have masked interrupts.
    cpu::take_all_interrupts();
    with_call_suspended(|| kernel().work());
    DEPTH.fetch_sub(1, Ordering::Relaxed);
}
