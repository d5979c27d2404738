//! The trampoline through which modules are called, and the return from a fault.

use std::arch::asm;
use std::ffi::c_void;
use std::sync::atomic::Ordering;

use bareflow_abi::Context;
use bareflow_loader::{Call, CallFailure, CallOutcome, FastExit, FastReturn, Fault, FaultKind, TimedCall};
use bareflow_runtime::RunningCall;

use super::activation::{Activation, CurrentCall, OptionalReach, TOUCHED, ThreadContext};
use super::code::CHECKING;
use crate::memory::Image;

/// The trampoline's exit reason if the module returned, and nothing else remains to be done.
const RETURNED: u64 = 0;

/// The exit reason if the module returned with changed registers that a function must preserve.
const CLOBBERED: u64 = 1;

unsafe extern "C" {
    fn bareflow_host_recover();
    fn bareflow_host_service_end();
    safe fn bareflow_host_thread() -> *const c_void;
}

/// Calls a module of the kernel domain without input, output and callees, while no call of this platform is running on
/// its thread.
///
/// The image's own context is used. Only the module writes to it, and this call uses nothing of what is in it.
#[inline(always)]
pub(crate) fn call_fast(call: &Call<'_, Image>, thread: &ThreadContext) -> Result<FastReturn, FastExit> {
    let activation = &thread.activation;
    let stack_top = call.image().stack_top;
    activation.begin(call, stack_top);
    let (code, returned) =
        run_timed(call, (stack_top, call.image().time_us), call.image().context(), activation, thread);
    if code == RETURNED { Ok(returned) } else { Err(FastExit { code, returned }) }
}

/// Calls a module; handles every case.
#[inline(never)]
pub(crate) fn call(
    call: Call<'_, Image>,
    output: &mut [u8],
    thread: &ThreadContext,
    reach: OptionalReach<'_>,
) -> Result<TimedCall, CallFailure> {
    let outer = thread.current.load(Ordering::Relaxed);
    let nested = with_current(|under_way| {
        // The call is nested in the running one, and has its own stack and activation.
        let stack = thread.stack.above(call.image().stack_top, under_way.stack_top());
        let waiting = under_way.thread().watch_slot.call();
        let activation = Activation::inactive();
        activation.belongs_to(thread);
        activation.begin(&call, stack.unwrap_or(under_way.service_stack.get() & !15));
        thread.current.store(activation.address(), Ordering::Release);
        let returned = enter(&call, output, &activation, thread, reach);
        thread.watch_slot.go_on(waiting);
        thread.current.store(outer, Ordering::Release);
        returned
    });
    nested.unwrap_or_else(|| {
        if outer != thread.activation.address() {
            thread.make_current();
        }
        thread.activation.begin(&call, call.image().stack_top);
        enter(&call, output, &thread.activation, thread, reach)
    })
}

/// Makes a call that was recorded in `activation`, with a context of its own.
fn enter(
    call: &Call<'_, Image>,
    output: &mut [u8],
    activation: &Activation,
    thread: &ThreadContext,
    reach: OptionalReach<'_>,
) -> Result<TimedCall, CallFailure> {
    let capacity = output.len();
    activation.set_buffers(call.input(), output, reach);
    let (heap, heap_size) = call.image().segments.heap();
    let context = Context::new(call.image().table, call.input(), output).with_caller(call.caller());
    let mut context = context.with_heap(heap, heap_size);
    let (budget_us, total) = thread.budget(call.image().time_us);
    activation.set_total(total);
    let stack_top = activation.stack_top();
    let (exit_reason, fast) = run_timed(call, (stack_top, budget_us), &raw mut context, activation, thread);
    let mut returned = decode_return(exit_reason, fast, activation);
    activation.clear_buffers();
    if let Ok(returned) = &mut returned {
        // The module may have written any length.
        returned.outcome.output_length = context.output_length().min(capacity);
    }
    returned
}

/// Returns the outcome of a call, without its output's length.
#[inline(never)]
pub(crate) fn decode_return(
    exit_reason: u64,
    FastReturn { result, cycles }: FastReturn,
    activation: &Activation,
) -> Result<TimedCall, CallFailure> {
    let fault = if exit_reason == RETURNED { None } else { activation.end() };
    match exit_reason {
        exit_reason if exit_reason == RETURNED || exit_reason == TOUCHED.into() => {
            Ok(TimedCall { outcome: CallOutcome { result, output_length: 0 }, cycles })
        }
        CLOBBERED => Err(CLOBBERED_REGISTER.into()),
        _ => Err(fault.unwrap_or(UNKNOWN).into()),
    }
}

/// Calls the entry through the trampoline, on the stack whose top is `stack_top`, with a budget of `budget_us` microseconds. Returns the exit reason.
#[inline(always)]
fn run_timed(
    call: &Call<'_, Image>,
    (stack_top, budget_us): (u64, u32),
    context: *mut Context<'_>,
    activation: &Activation,
    thread: &ThreadContext,
) -> (u64, FastReturn) {
    // The budget is set first, so that the watchdog never applies another call's budget.
    thread.watch_slot.begin(budget_us);
    let trampolines = if call.check_abi() { &CHECKING } else { &thread.trampolines };
    let trampoline = trampolines[call.timing() as usize];
    let (result, exit_reason, end): (u64, u64, u64);
    // SAFETY: the entry lies in the sealed text of an image, as validation ensured; after a fault in it, the signal
    // handler resumes here. All registers that the trampoline does not preserve are clobbered here.
    unsafe {
        asm!(
            "call rdx",
            inout("rdx") trampoline => exit_reason,
            inout("r8") call.entry() => result,
            in("rdi") context,
            in("rsi") u64::from(call.reason()),
            in("rcx") activation.address(),
            inout("r9") stack_top => end,
            out("r12") _,
            out("r13") _,
            out("r14") _,
            out("r15") _,
            clobber_abi("C"),
        );
    }
    let cycles = end.saturating_sub(activation.start());
    // The upper half of the register is meaningless.
    (exit_reason, FastReturn { result: result as u32 as i32, cycles })
}

/// The fault that the trampoline itself detects when a call returns.
const CLOBBERED_REGISTER: Fault = Fault { kind: FaultKind::ClobberedRegister, offset: Some(0), address: None };

/// The fault if none was recorded, which can't happen.
const UNKNOWN: Fault = Fault { kind: FaultKind::GeneralProtection, offset: None, address: None };

/// Returns this thread's word for the trampoline.
pub(crate) fn current_call() -> &'static CurrentCall {
    // SAFETY: the word exists as long as the thread, which the platform and its calls never leave.
    unsafe { &*bareflow_host_thread().cast() }
}

/// Passes this thread's running call, if there is one, to `work`.
pub(crate) fn with_current<T>(work: impl FnOnce(&Activation) -> T) -> Option<T> {
    // SAFETY: an activation exists until its caller removes it from the word; while a call is running, its caller
    // waits. Signal handlers, services and nested calls, in which this is called, end before it does.
    let activation = unsafe { current_call().load(Ordering::Relaxed).as_ref() };
    activation.filter(|activation| activation.is_under_way()).map(work)
}

/// Returns the address at which a service ends that ends the call.
pub(crate) fn service_end() -> u64 {
    bareflow_host_service_end as *const () as u64
}

/// Records the fault that ends the call of `activation`. Returns the instruction and stack pointers with which
/// execution continues.
pub(crate) fn recover(activation: &Activation, fault: Fault) -> (u64, u64) {
    (recovery(), activation.fail(fault))
}

/// Returns the address where a call that is ended from outside continues.
fn recovery() -> u64 {
    bareflow_host_recover as *const () as u64
}
