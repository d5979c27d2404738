//! The trampolines through which modules are called: one directly into their code ([`kernel_domain`]), one into ring 3
//! ([`user_domain`]). Both switch to a stack of the module's own, and return with every register restored that a function
//! must preserve, whatever the module did.

mod activation;
pub mod deferred_work;
mod event_limit;
pub mod kernel_domain;
mod processor;
pub mod provider;
mod stack_switch;
pub mod user_domain;

use core::sync::atomic::Ordering;

use bareflow_abi::Services;
use bareflow_abi::interface::{Frame, Shape};
use bareflow_loader::diagnosis::Diagnosis;
use bareflow_loader::{Call, CallFailure, Callees, FastReturn, Fault, FaultKind, TimedCall, TimedReply, Timing};
use bareflow_runtime::{Reach, RunningCall, clock};

use crate::frame::{CLEAR_FLAGS, TrapFrame};
use crate::image::Image;
use crate::layout::MODULE_STACK_DISTANCE;
use crate::selectors::KERNEL_CODE;

pub use activation::{
    Activation, BUDGET_EXPIRED, BufferRange, NMI_ARRIVED, OptionalReach, request_abort, requested_abort, tick,
};
pub use event_limit::{call_apart, call_within};
pub use processor::Processor;
pub(crate) use processor::{on_this_processor, this_processor};
pub use stack_switch::defer_to_kernel_stack;

/// The fault that a trampoline itself detects when a call returns.
const CLOBBERED_REGISTER: Fault = Fault { kind: FaultKind::ClobberedRegister, offset: Some(0), address: None };

/// The exit reason of a trampoline whose module returned.
const RETURNED: u64 = 0;

/// The exit reason of a trampoline whose module returned without a register that a function must preserve. Any other
/// number means that it faulted.
const CLOBBERED: u64 = 1;

unsafe extern "C" {
    fn bareflow_trampoline_recover() -> !;
}

/// Calls a module, which sees `services` in the kernel domain.
#[inline(always)]
pub fn call(
    call: &Call<'_, Image>,
    services: &Services,
    output: &mut [u8],
    reach: OptionalReach<'_>,
) -> Result<TimedCall, CallFailure> {
    match call.image().user() {
        None => kernel_domain::call(call, services, output, reach),
        Some(user) => user_domain::call(call, user, output, reach),
    }
}

/// Calls a method by a frame. The module reaches the caller's memory in the kernel domain, and gets copies in the user
/// domain.
pub fn call_method(
    call: &Call<'_, Image>,
    frame: &mut Frame<'_>,
    callees: Option<&dyn Callees>,
) -> Result<TimedReply, CallFailure> {
    match call.image().user() {
        None => call_method_in_place(call, |image| image.services, frame, callees),
        Some(user) => user_domain::call_method(call, user, frame, &Reach { callees, shape: Shape::EMPTY }),
    }
}

/// Calls a method in the kernel domain, whose module sees `services`.
#[inline(always)]
pub fn call_method_in_place(
    call: &Call<'_, Image>,
    services: impl Fn(&Image) -> &'static Services,
    frame: &mut Frame<'_>,
    callees: Option<&dyn Callees>,
) -> Result<TimedReply, CallFailure> {
    let (reach, mut cycles) = (Reach { callees, shape: frame.shape() }, 0);
    let reply = frame.call_in_place(|input, output| {
        let done = kernel_domain::call(&call.with_input(input), services(call.image()), output, Some(&reach))?;
        cycles = done.cycles;
        Ok::<_, CallFailure>(done.outcome.result)
    })?;
    Ok(TimedReply { reply, cycles })
}

/// Invokes a trampoline. Arguments: an operand of `asm!`, the activation (rcx), the value of rdx, further registers;
/// everything else that it does not preserve is clobbered. Evaluates to the module's result and the exit reason.
macro_rules! call_trampoline {
    ([$($trampoline:tt)*], $activation:expr, $rdx:expr, $($register:tt = $value:expr),*) => {{
        let (result, exit_reason): (u64, u64);
        core::arch::asm!(
            "call {trampoline}",
            trampoline = $($trampoline)*,
            $(in($register) $value,)*
            in("rcx") $activation,
            inout("rdx") $rdx => exit_reason,
            out("rax") result,
            out("r12") _,
            out("r13") _,
            out("r14") _,
            out("r15") _,
            clobber_abi("C"),
        );
        (result, exit_reason)
    }};
}
use call_trampoline;

/// Runs a call through a trampoline: makes `activation` the running call, calls `enter`, and measures it. `enter`
/// returns the result and the exit reason.
#[inline(always)]
fn run_timed(
    activation: Activation,
    timing: Timing,
    enter: impl FnOnce(*mut Activation) -> (u64, u64),
) -> (u64, FastReturn) {
    let mut activation = activation;
    let activation: *mut Activation = &raw mut activation;
    let current = &this_processor().current;
    let outer = current.load(Ordering::Relaxed);
    current.store(activation, Ordering::Relaxed);
    let start = clock::read(timing);
    let (result, exit_reason) = enter(activation);
    let cycles = clock::read(timing).saturating_sub(start);
    current.store(outer, Ordering::Relaxed);
    // The upper half of the register is undefined.
    (exit_reason, FastReturn { result: result as u32 as i32, cycles })
}

/// Returns the outcome of a call by its exit reason.
#[inline]
fn decode_return(exit_reason: u64, returned: FastReturn) -> Result<FastReturn, CallFailure> {
    match exit_reason {
        RETURNED => Ok(returned),
        CLOBBERED => {
            this_processor().fault_time.store(clock::now(), Ordering::Relaxed);
            *this_processor().fault.lock() = (CLOBBERED_REGISTER, None);
            Err(CLOBBERED_REGISTER.into())
        }
        _ => Err(this_processor().fault.lock().0.into()),
    }
}

/// Returns the running call.
pub fn current() -> Option<&'static Activation> {
    // SAFETY: not null only during a call, whose frame holds the activation; callers are traps and services, which
    // end before the call does.
    unsafe { this_processor().current.load(Ordering::Relaxed).as_ref() }
}

/// Passes the running call, if there is one, to `work`. To be used in traps and services alone, which end before it.
pub fn with_current<T>(work: impl FnOnce(&Activation) -> T) -> Option<T> {
    current().map(work)
}

/// Does `work` of the kernel that the running call does not know of. No ticks count for that call, modules that run
/// during the work have a stack of their own, and the services they call are not logged for that call.
pub fn with_call_suspended(work: impl FnOnce()) {
    let caller = current();
    let current = &this_processor().current;
    let call = current.swap(core::ptr::null_mut(), Ordering::Relaxed);
    match caller {
        Some(caller) => with_nested_call(caller, work),
        None => on_next_stack(work),
    }
    current.store(call, Ordering::Relaxed);
}

/// Does `work` that a service of the running call, `caller`, asked for and that calls other modules. They have a stack
/// of their own, and the services they call are not logged for the calling one. Ticks count for the calling one when none
/// of them runs.
#[inline(always)]
pub fn with_nested_call<T>(caller: &Activation, work: impl FnOnce() -> T) -> T {
    // The log is long, and most calls that call others have none.
    if caller.has_log() { with_log_kept(work) } else { on_next_stack(work) }
}

#[cold]
#[inline(never)]
fn with_log_kept<T>(work: impl FnOnce() -> T) -> T {
    let services = &this_processor().services;
    let log = *services.lock();
    let done = on_next_stack(work);
    *services.lock() = log;
    done
}

/// Does `work`. The modules that it calls run on the stack behind that of the running call.
#[inline(always)]
fn on_next_stack<T>(work: impl FnOnce() -> T) -> T {
    let stack_shift = &this_processor().stack_shift;
    let shift = stack_shift.load(Ordering::Relaxed);
    stack_shift.store(shift + MODULE_STACK_DISTANCE, Ordering::Relaxed);
    let done = work();
    stack_shift.store(shift, Ordering::Relaxed);
    done
}

/// Ends the running call, `activation`, from inside a service that holds no resources any more, and was called from
/// `caller`. Returns only if no call is running.
#[cold]
pub fn end_call(activation: &Activation, fault: Fault, caller: u64) {
    let diagnosis = Diagnosis { services: activation.services(), ..Diagnosis::at(caller) };
    if recover(fault, Some(diagnosis)).is_some() {
        // SAFETY: a call is running, so the trampoline's frame exists; the service's own frames hold nothing that
        // would have to be dropped.
        unsafe { bareflow_trampoline_recover() }
    }
}

/// Notes the fault that ends the running call, and returns the address and the stack pointer at which execution goes
/// on. `None` if no call is running.
fn recover(fault: Fault, diagnosis: Option<Diagnosis>) -> Option<(u64, u64)> {
    let activation = current()?;
    this_processor().fault_time.store(clock::now(), Ordering::Relaxed);
    // The lock is free while a call is running.
    if let Some(mut target) = this_processor().fault.try_lock() {
        *target = (fault, diagnosis);
    }
    Some((bareflow_trampoline_recover as *const () as u64, activation.kernel_stack()))
}

/// Ends the running call, `activation`, at a fault: makes execution continue in the kernel, where the module was called.
pub fn leave_module(frame: &mut TrapFrame, activation: &Activation, fault: Fault) {
    let diagnosis = activation.diagnose(&fault, frame.registers());
    if let Some((rip, rsp)) = recover(fault, Some(diagnosis)) {
        (frame.rip, frame.rsp) = (rip, rsp);
        (frame.cs, frame.ss) = (KERNEL_CODE, 0);
        frame.rflags = CLEAR_FLAGS;
    }
}

/// Returns the clock when the last fault was noted.
pub fn last_fault_time() -> u64 {
    this_processor().fault_time.load(Ordering::Relaxed)
}

/// Takes the diagnosis of the last fault.
pub fn take_diagnosis() -> Option<Diagnosis> {
    this_processor().fault.lock().1.take()
}
