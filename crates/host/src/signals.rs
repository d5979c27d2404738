//! The signals of modules' faults, and the watchdog's signal that their time is over. The handlers send execution back
//! to the trampoline.

use std::arch::asm;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io;
use std::mem::zeroed;
use std::ptr::null_mut;
use std::sync::OnceLock;

use bareflow_loader::Fault;
use libc::{REG_EFL, REG_RIP, REG_RSP, REG_TRAPNO, siginfo_t, ucontext_t};

use crate::call::{Activation, trampoline};
use crate::faults::{self, Registers};
use crate::signal_mask::no_signals;
use crate::{seccomp, watchdog};

/// The signals that a module can cause.
pub(crate) const SIGNALS: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP];

/// The flags with which our own code can't run: AC and NT.
const LEFT_SET: i64 = 0x44000;

/// The exception number of a misaligned access while AC is set.
const ALIGNMENT_CHECK: i64 = 17;

/// The size of the handlers' own stack, in bytes; the module may have used up its stack.
const STACK_SIZE: usize = 64 << 10;

/// The actions of the signals before ours were installed.
static BEFORE: OnceLock<Vec<libc::sigaction>> = OnceLock::new();

thread_local! {
    static HAS_STACK: Cell<bool> = const { Cell::new(false) };
}

/// Installs the handlers for the process, and a stack for them on this thread.
pub(crate) fn install() -> io::Result<()> {
    if !HAS_STACK.get() {
        set_stack()?;
        HAS_STACK.set(true);
    }
    if BEFORE.get().is_some() {
        return Ok(());
    }
    let before = SIGNALS.into_iter().map(|signal| set_handler(signal, handle)).collect::<io::Result<Vec<_>>>()?;
    set_handler(watchdog::SIGNAL, handle_late)?;
    // If another thread was faster, its list has the original actions.
    let _ = BEFORE.set(before);
    Ok(())
}

/// Gives this thread a signal stack that exists as long as the process.
fn set_stack() -> io::Result<()> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: the system chooses the address, so nothing is replaced.
    let start = unsafe { libc::mmap(null_mut(), STACK_SIZE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let stack = libc::stack_t { ss_sp: start, ss_flags: 0, ss_size: STACK_SIZE };
    let mut set = no_signals();
    // SAFETY: the stack was just mapped and stays; the set is this frame's own. The watchdog can't end a call while its
    // signal is blocked, so it is unblocked here.
    unsafe {
        check(libc::sigaltstack(&raw const stack, null_mut()))?;
        libc::sigaddset(&raw mut set, watchdog::SIGNAL);
        check(libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, null_mut()))
    }
}

type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

/// Sets a handler, and returns the previous action.
fn set_handler(signal: c_int, handler: Handler) -> io::Result<libc::sigaction> {
    // SAFETY: all zeros are a valid action, which is then filled in.
    let (mut action, mut old): (libc::sigaction, libc::sigaction) = unsafe { (zeroed(), zeroed()) };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER | libc::SA_RESTART;
    // SAFETY: the set is this frame's own. The handler has the signature that SA_SIGINFO requires, and does only what a
    // handler may do. The watchdog's signal is held back while a fault is handled.
    unsafe {
        libc::sigaddset(&raw mut action.sa_mask, watchdog::SIGNAL);
        check(libc::sigaction(signal, &raw const action, &raw mut old))?;
    }
    Ok(old)
}

/// Installs the handlers of a process in which only a module runs, on a stack of `size` bytes at `start`.
///
/// There, a refused system call is the module's fault, and no other signals are sent.
pub(crate) fn sandbox(start: *mut c_void, size: usize) -> io::Result<()> {
    let stack = libc::stack_t { ss_sp: start, ss_flags: 0, ss_size: size };
    // SAFETY: the caller mapped the stack for this.
    check(unsafe { libc::sigaltstack(&raw const stack, null_mut()) })?;
    let mut set = no_signals();
    for signal in SIGNALS.into_iter().chain([libc::SIGSYS]) {
        set_handler(signal, handle_sandboxed)?;
        // SAFETY: the set is this frame's own.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    // SAFETY: the set is this frame's own.
    check(unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, null_mut()) })
}

fn check(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    if !is_modules(signal, info, context) {
        // The instruction faults again, as if this handler had never been installed.
        restore(signal);
    }
}

/// Handles signals in a process in which only a module runs.
extern "C" fn handle_sandboxed(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    if !is_modules(signal, info, context) {
        // The fault is in the process's own code.
        seccomp::leave();
    }
}

/// Handles a signal that a module caused, or that flags left by a module caused. Returns whether it was such a signal.
fn is_modules(signal: c_int, info: *mut siginfo_t, context: *mut c_void) -> bool {
    clear_flags();
    // SAFETY: the system passes both for as long as the handler runs.
    let (info, context) = unsafe { (&*info, &mut *context.cast::<ucontext_t>()) };
    let registers = &mut context.uc_mcontext.gregs;
    let ended = trampoline::with_current(|activation| {
        // An earlier call may have left the flag for alignment set.
        let is_left_set = registers[REG_TRAPNO as usize] == ALIGNMENT_CHECK && !activation.is_checking();
        if !activation.is_in_module() || is_left_set {
            return false;
        }
        let fault = match activation.fault() {
            Some(noted) if registers[REG_RIP as usize].cast_unsigned() == trampoline::service_end() => {
                faults::service_end(activation, noted, registers)
            }
            _ => faults::fault(activation, signal, info, registers),
        };
        end(activation, fault, registers);
        true
    });
    // A module left a flag set, and a trampoline that does not check let it pass.
    let flags = &mut registers[REG_EFL as usize];
    let was_left_set = *flags & LEFT_SET != 0;
    *flags &= !LEFT_SET;
    ended == Some(true) || was_left_set
}

extern "C" fn handle_late(_: c_int, _: *mut siginfo_t, context: *mut c_void) {
    clear_flags();
    // SAFETY: the system passes it for as long as the handler runs.
    let registers = unsafe { &mut (*context.cast::<ucontext_t>()).uc_mcontext.gregs };
    trampoline::with_current(|activation| {
        if !activation.thread().watch_slot.is_overdue() {
            return;
        }
        if activation.is_in_module() && activation.fault().is_none() {
            end(activation, faults::time_budget(activation, registers), registers);
        } else {
            activation.end_late();
        }
    });
}

/// Clears the flags that handlers inherit from the interrupted code. No handler could return with NT set, since the
/// system does not restore it.
fn clear_flags() {
    // SAFETY: none of our code relies on these flags.
    unsafe { asm!("push 0x202", "popfq") };
}

/// Ends a call: sends execution back to the trampoline.
fn end(activation: &Activation, fault: Fault, registers: &mut Registers) {
    activation.thread().diagnosis.set(Some(faults::diagnosis(activation, &fault, registers)));
    let (rip, rsp) = trampoline::recover(activation, fault);
    (registers[REG_RIP as usize], registers[REG_RSP as usize]) = (rip.cast_signed(), rsp.cast_signed());
    // Clears the direction, trap and alignment-check flags, which are the module's; bit 1 is always set.
    registers[REG_EFL as usize] = 0x202;
}

fn restore(signal: c_int) {
    let index = SIGNALS.iter().position(|&known| known == signal);
    let before = BEFORE.get().zip(index).and_then(|(before, index)| before.get(index));
    if let Some(action) = before {
        // SAFETY: the action is the one the system gave out.
        unsafe { libc::sigaction(signal, action, null_mut()) };
    }
}
