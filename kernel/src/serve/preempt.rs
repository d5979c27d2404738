//! Polling of clients while a module runs: the tick that interrupts the module makes the kernel poll the port, on its
//! own stack, before the module goes on.
//!
//! Only a module's own code is interrupted like this, never the kernel's, so none of the kernel's work is half done.
//! A tick during a service only sets a flag, and clients are polled after the service. Their requests may load,
//! replace and list modules then; calls wait until the running one has ended. The code of a module that is loaded
//! then is interrupted likewise, but requests that would run more code wait.

use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use x86_64::instructions::interrupts;

use super::{KernelServer, channel_queue};
use crate::cpu;
use crate::trampoline::{self, Activation};
use crate::traps::{TrapFrame, defer_to_kernel_stack, timer};

/// The server whose clients are polled.
static SERVER: AtomicPtr<KernelServer> = AtomicPtr::new(core::ptr::null_mut());

/// The number of nested polls: module code may run for one request, and be interrupted by another poll.
static DEPTH: AtomicU32 = AtomicU32::new(0);

/// The depth at which no more polls start, and no module's code runs.
const DEEPEST: u32 = 2;

/// Whether a poll is due that a tick could not start, since the tick interrupted the kernel's work for a module.
static WAITING: AtomicBool = AtomicBool::new(false);

/// The milliseconds after which the server checks the clock, even if no client sent anything.
const POLL_INTERVAL_MS: u64 = 64;

/// Enables polling of clients while modules run.
pub fn install(server: &'static KernelServer) {
    SERVER.store(core::ptr::from_ref(server).cast_mut(), Ordering::Relaxed);
}

/// Returns whether module code may run for a client's request.
pub fn may_run_modules() -> bool {
    DEPTH.load(Ordering::Relaxed) < DEEPEST
}

/// Polls clients as soon as possible, if that is due. Called at a tick that interrupted a module, or the kernel's
/// work for one.
pub fn on_tick(frame: &mut TrapFrame, activation: Option<&Activation>) {
    let due = channel_queue::has_bytes() || timer::milliseconds().is_multiple_of(POLL_INTERVAL_MS);
    if !due || SERVER.load(Ordering::Relaxed).is_null() || !may_run_modules() {
        return;
    }
    match activation {
        Some(activation) => defer_to_kernel_stack(frame, activation, poll_clients_deferred),
        None => WAITING.store(trampoline::current().is_some(), Ordering::Relaxed),
    }
}

/// Polls clients if one waits. Called after a service that a module in ring 3 called.
pub fn behind_service(frame: &mut TrapFrame, activation: &Activation) {
    if is_waiting() {
        defer_to_kernel_stack(frame, activation, poll_clients_deferred);
    }
}

/// Polls clients if one waits. Called after a service, on the kernel's stack, with flags and control words as
/// compiled code requires.
pub fn behind_call() {
    if is_waiting() {
        poll_clients();
    }
}

/// Polls clients if one waits. Called after a service that a module in ring 0 called, on the kernel's stack. If the
/// module has interrupts disabled, clients don't interrupt it either.
pub fn behind_service_in_ring_0() {
    if is_waiting() && interrupts::are_enabled() {
        bareflow_poll_clients();
    }
}

fn is_waiting() -> bool {
    WAITING.load(Ordering::Relaxed) && may_run_modules() && WAITING.swap(false, Ordering::Relaxed)
}

unsafe extern "C" {
    safe fn bareflow_poll_clients();
}

// Code of another module may run, so flags and control words are set as that code may expect, and restored for the
// module that called the service (System V ABI 3.2.1). Other registers of these units need not be preserved.
global_asm!(
    ".global bareflow_poll_clients",
    "bareflow_poll_clients:",
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
    "call {poll_clients}",
    "fninit",
    "fldcw [rsp + 4]",
    "ldmxcsr [rsp]",
    "lea rsp, [rbp - 8]",
    "popfq",
    "pop rbp",
    "ret",
    poll_clients = sym poll_clients,
);

extern "C" fn poll_clients_deferred(_: &mut TrapFrame) {
    poll_clients();
}

/// Receives the clients' bytes and checks the clock.
extern "C" fn poll_clients() {
    DEPTH.fetch_add(1, Ordering::Relaxed);
    // The interrupted module may have masked interrupts.
    cpu::take_all_interrupts();
    // SAFETY: `install` was given a reference with a static lifetime.
    if let Some(server) = unsafe { SERVER.load(Ordering::Relaxed).as_ref() } {
        trampoline::with_call_suspended(|| {
            channel_queue::take(|bytes| server.receive(bytes));
            server.look_at_clock();
        });
    }
    DEPTH.fetch_sub(1, Ordering::Relaxed);
}
