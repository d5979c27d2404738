//! Clients are heard while a module runs: the tick that interrupts it has the
//! kernel look at the port, on its own stack, before the module goes on.
//!
//! Only a module's own code is interrupted so, never the kernel's: nothing of the
//! kernel is half done then. A tick that meets a service only takes note, and clients are heard
//! behind it. What they ask for in that moment may load, replace and list modules; calls wait until
//! the one under way has ended. Code of a module that is loaded then is interrupted likewise, but
//! what would run yet more code waits.

use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use x86_64::instructions::interrupts;

use super::{KernelServer, uart_queue};
use crate::cpu;
use crate::trampoline::{self, Activation};
use crate::traps::{TrapFrame, defer_to_kernel_stack, timer};

/// The server that clients are heard by.
static SERVER: AtomicPtr<KernelServer> = AtomicPtr::new(core::ptr::null_mut());

/// How many times the kernel is hearing clients: while it does so for one, code of a module may run.
static DEPTH: AtomicU32 = AtomicU32::new(0);

/// The depth at which nobody else is heard, and no module's code runs.
const DEEPEST: u32 = 2;

/// Whether a client is to be heard whom no tick could have heard, since it met the kernel's work for a module.
static WAITING: AtomicBool = AtomicBool::new(false);

/// Milliseconds after which the server looks at the clock, though no client said anything.
const POLL_INTERVAL_MS: u64 = 64;

/// Has clients heard while modules run, from now on.
pub fn install(server: &'static KernelServer) {
    SERVER.store(core::ptr::from_ref(server).cast_mut(), Ordering::Relaxed);
}

/// Whether code of modules may run for what a client asks.
pub fn may_run_modules() -> bool {
    DEPTH.load(Ordering::Relaxed) < DEEPEST
}

/// At a tick that interrupted a module, or the kernel's work for one: has the kernel hear a client as soon as it can,
/// if there is one to be heard.
pub fn on_tick(frame: &mut TrapFrame, activation: Option<&Activation>) {
    let due = uart_queue::has_bytes() || timer::milliseconds().is_multiple_of(POLL_INTERVAL_MS);
    if !due || SERVER.load(Ordering::Relaxed).is_null() || !may_run_modules() {
        return;
    }
    match activation {
        Some(activation) => defer_to_kernel_stack(frame, activation, poll_clients_deferred),
        None => WAITING.store(trampoline::current().is_some(), Ordering::Relaxed),
    }
}

/// Behind a service that a module in ring 3 called: hears a client first, if one waits.
pub fn behind_service(frame: &mut TrapFrame, activation: &Activation) {
    if is_waiting() {
        defer_to_kernel_stack(frame, activation, poll_clients_deferred);
    }
}

/// Behind a service on the kernel's stack, with flags and control words as compiled code relies on them: the same.
pub fn behind_call() {
    if is_waiting() {
        poll_clients();
    }
}

/// Behind a service that a module in ring 0 called, on the kernel's stack: the same. Where that module keeps
/// interrupts away, it is not interrupted by clients either.
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

// Code of another module may run: flags and control words are put where that may rely on them, and back for
// the one that called the service (System V ABI 3.2.1). It keeps no other registers of these units.
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

/// Polls what clients said.
extern "C" fn poll_clients() {
    DEPTH.fetch_add(1, Ordering::Relaxed);
    // Whom the module that waits keeps away.
    cpu::take_all_interrupts();
    // SAFETY: `install` was given a reference for ever.
    if let Some(server) = unsafe { SERVER.load(Ordering::Relaxed).as_ref() } {
        trampoline::with_call_suspended(|| {
            uart_queue::take(|bytes| server.receive(bytes));
            server.look_at_clock();
        });
    }
    DEPTH.fetch_sub(1, Ordering::Relaxed);
}
