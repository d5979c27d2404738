//! The trampolines through which modules are called: one directly into their code ([`kernel`]), one into ring 3
//! ([`user`]). Both switch to a stack of the module's own, and return with every register restored that a function
//! must preserve, whatever the module did.

mod deferred;
mod diagnose;
pub mod kernel;
pub mod user;
pub mod work;

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use bareflow_loader::diagnosis::{Diagnosis, ServiceCall, ServiceLog};
use bareflow_loader::segments::is_within;
use bareflow_loader::{Call, CallError, Callees, FastReturn, Fault, FaultKind, Name, TimedCall, Timing};
use spin::Mutex;

use crate::clock;
use crate::frame::{CLEAR_FLAGS, TrapFrame};
use crate::image::Image;
use crate::layout::MODULE_STACK_DISTANCE;
use crate::selectors::KERNEL_CODE;

pub use deferred::defer_to_kernel_stack;
pub use diagnose::{diagnose, kind_of_invalid_opcode};

/// A running call. The trampolines' code depends on the offsets of the first two fields.
#[repr(C)]
pub struct Activation {
    /// The kernel's stack pointer after the trampoline saved rbx and rbp; not initialised before that.
    kernel_stack: MaybeUninit<u64>,
    /// The module's stack pointer before the call pushes the return address; in ring 3, at the module's first
    /// instruction.
    module_stack: u64,
    /// The events of the call: flags, and ticks in units of `TICK`. They share one number, so that a call initialises
    /// them by one instruction.
    events: AtomicU64,
    /// The module's name.
    pub module: *const Name,
    image: *const Image,
    /// The address and length of the input, as the module sees it.
    input: BufferRange,
    /// The address and length of the output, as the module sees it.
    output: BufferRange,
    /// The modules that the call may call, or null.
    callees: *const &'static dyn Callees,
}

/// The address and length of a call's input or output.
pub type BufferRange = (u64, u64);

/// The modules that a call may call, if any.
pub type OptionalCallees<'call> = Option<&'call &'call dyn Callees>;

impl Activation {
    /// The module's name.
    pub fn module(&self) -> &Name {
        // SAFETY: an activation lives as long as its call, which borrows the name.
        unsafe { &*self.module }
    }

    /// The module's memory.
    pub fn image(&self) -> &Image {
        // SAFETY: as above.
        unsafe { &*self.image }
    }

    /// Returns the modules that the call may call, if any.
    pub fn callees(&self) -> Option<&dyn Callees> {
        // SAFETY: as above.
        unsafe { self.callees.as_ref() }.copied()
    }

    /// Returns whether the module runs in ring 3.
    pub fn is_user(&self) -> bool {
        self.image().user().is_some()
    }

    /// Creates the activation of a call on `image`, with its stack from `module_stack` down.
    #[inline(always)]
    const fn new(
        module: &Name,
        image: &Image,
        module_stack: u64,
        (input, output): (BufferRange, BufferRange),
        callees: OptionalCallees<'_>,
    ) -> Activation {
        Activation {
            kernel_stack: MaybeUninit::uninit(),
            module_stack,
            events: AtomicU64::new(0),
            module,
            image,
            input,
            output,
            callees: match callees {
                Some(callees) => core::ptr::from_ref(callees).cast(),
                None => core::ptr::null(),
            },
        }
    }

    /// Returns the `length` bytes that the module sees at `address`, if it may pass them on: in its segments, in its
    /// heap, on its stack, or in its context's buffers.
    pub fn bytes(&self, address: u64, length: u64) -> Option<&[u8]> {
        if length == 0 {
            return Some(&[]);
        }
        let image = self.image();
        let lent = [self.input, self.output].iter().any(|&(start, size)| is_within(address, length, start, size));
        let alias = self.alias_of(address, length).or_else(|| match self.is_user() {
            true => image.buffer_alias(address, length).filter(|_| lent),
            false => lent.then_some(address),
        })?;
        // SAFETY: the bytes lie in memory that is mapped for this module or lent to its call, as just checked. The
        // memory stays mapped during the call, and the module is not running.
        Some(unsafe { core::slice::from_raw_parts(alias as *const u8, length as usize) })
    }

    /// Returns the kernel's address of `length` bytes from `address` on, if the module itself may write them: in its
    /// data, in its heap, on its stack, or in its output.
    pub fn writable(&self, address: u64, length: u64) -> Option<u64> {
        let (image, shift) = (self.image(), self.stack_shift());
        let (output, room) = self.output;
        if image.is_data(address, length) {
            return image.alias_of(address, length);
        }
        match is_within(address, length, output, room) {
            true if self.is_user() => image.buffer_alias(address, length),
            true => Some(address),
            false => image.stack_alias(address.wrapping_sub(shift), length).map(|alias| alias + shift),
        }
    }

    /// Returns the top of the module's stack.
    pub const fn stack_top(&self) -> u64 {
        self.module_stack
    }

    /// Returns the kernel's stack pointer, below what the trampoline saved.
    pub fn kernel_stack(&self) -> u64 {
        // SAFETY: the trampoline saved it before the module's first instruction, and no code of the kernel calls this
        // between the activation's creation and that.
        unsafe { self.kernel_stack.assume_init() }
    }

    /// Returns whether an access to `address` means that the stack has run out.
    pub fn guards(&self, address: u64) -> bool {
        self.image().guards(address.wrapping_sub(self.stack_shift()))
    }

    /// Returns the kernel's address of bytes that are the module's own.
    fn alias_of(&self, address: u64, length: u64) -> Option<u64> {
        let image = self.image();
        if image.segments.contains(address, length) {
            return image.alias_of(address, length);
        }
        let shift = self.stack_shift();
        image.alias_of(address.wrapping_sub(shift), length).map(|alias| alias + shift)
    }

    /// Returns the distance of this call's stack from the first stack of the kernel domain.
    fn stack_shift(&self) -> u64 {
        if self.is_user() { 0 } else { self.module_stack - self.image().stack_top() }
    }

    /// Notes a service's call.
    pub fn log_service(&self, call: ServiceCall) {
        let mut log = SERVICES.lock();
        if !self.has(CALLED) {
            *log = ServiceLog::EMPTY;
        }
        log.push(call);
        drop(log);
        self.events.fetch_or(CALLED, Ordering::Relaxed);
    }

    /// Returns the services that the call called last.
    pub fn services(&self) -> ServiceLog {
        // A service that was aborted may hold the lock.
        match (self.has(CALLED), SERVICES.try_lock()) {
            (true, Some(log)) => *log,
            _ => ServiceLog::EMPTY,
        }
    }

    fn has(&self, event: u64) -> bool {
        self.events.load(Ordering::Relaxed) & event != 0
    }
}

/// The running call, or null. The trampolines read it, since a module may have destroyed every register.
#[unsafe(export_name = "bareflow_current_call")]
static CURRENT: AtomicPtr<Activation> = AtomicPtr::new(core::ptr::null_mut());

/// The services that the running call called last, if it called any.
static SERVICES: Mutex<ServiceLog> = Mutex::new(ServiceLog::EMPTY);

/// The last fault, and its diagnosis.
static FAULT: Mutex<(Fault, Option<Diagnosis>)> = Mutex::new((UNKNOWN, None));

/// The clock when the last fault was noted.
static FAULT_TIME: AtomicU64 = AtomicU64::new(0);

/// The event of a service's call. The flags below end the call when the kernel's work for it is done; `TICK` counts
/// ticks.
const CALLED: u64 = 1;
/// The event of a non-maskable interrupt during the kernel's work for the call.
pub const NMI_ARRIVED: u64 = 2;
/// The event of the call's time running out during the kernel's work for it.
pub const BUDGET_EXPIRED: u64 = 4;
const TICK: u64 = 1 << 32;

/// The fault that a trampoline itself detects when a call returns.
const CLOBBERED_REGISTER: Fault = Fault { kind: FaultKind::ClobberedRegister, offset: Some(0), address: None };

/// The initial value of the last fault, which is never reported.
const UNKNOWN: Fault = Fault { kind: FaultKind::GeneralProtection, offset: None, address: None };

/// The exit reason of a trampoline whose module returned.
const RETURNED: u64 = 0;

/// The exit reason of a trampoline whose module returned without a register that a function must preserve. Any other
/// number means that it faulted.
const CLOBBERED: u64 = 1;

unsafe extern "C" {
    fn bareflow_trampoline_recover() -> !;
}

/// Calls a module.
#[inline(always)]
pub fn call(call: &Call<'_, Image>, output: &mut [u8], callees: OptionalCallees<'_>) -> Result<TimedCall, CallError> {
    match call.image().user() {
        None => kernel::call(call, output, callees),
        Some(user) => user::call(call, user, output, callees),
    }
}

/// Invokes a trampoline. Arguments: an operand of `asm!`, the activation (rcx), the value of rdx, further registers;
/// everything else that it does not preserve is clobbered. Evaluates to the module's result and the exit reason.
macro_rules! call_trampoline {
    ([$($trampoline:tt)*], $activation:expr, $rdx:expr, $($register:tt = $value:expr),*) => {{
        let (result, left): (u64, u64);
        core::arch::asm!(
            "call {trampoline}",
            trampoline = $($trampoline)*,
            $(in($register) $value,)*
            in("rcx") $activation,
            inout("rdx") $rdx => left,
            out("rax") result,
            out("r12") _,
            out("r13") _,
            out("r14") _,
            out("r15") _,
            clobber_abi("C"),
        );
        (result, left)
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
    let outer = CURRENT.load(Ordering::Relaxed);
    CURRENT.store(activation, Ordering::Relaxed);
    let start = clock::read(timing);
    let (result, left) = enter(activation);
    let cycles = clock::read(timing).saturating_sub(start);
    CURRENT.store(outer, Ordering::Relaxed);
    // The upper half of the register is undefined.
    (left, FastReturn { result: result as u32 as i32, cycles })
}

/// Returns the outcome of a call by its exit reason, `left`.
#[inline]
fn decode_return(left: u64, returned: FastReturn) -> Result<FastReturn, CallError> {
    match left {
        RETURNED => Ok(returned),
        CLOBBERED => {
            FAULT_TIME.store(clock::now(), Ordering::Relaxed);
            *FAULT.lock() = (CLOBBERED_REGISTER, None);
            Err(CLOBBERED_REGISTER.into())
        }
        _ => Err(FAULT.lock().0.into()),
    }
}

/// Returns the running call.
pub fn current() -> Option<&'static Activation> {
    // SAFETY: not null only during a call, whose frame holds the activation; callers are traps and services, which
    // end before the call does.
    unsafe { CURRENT.load(Ordering::Relaxed).as_ref() }
}

/// The distance of the next call's stack from the first stack of the kernel domain. Nested calls have stacks of their
/// own.
static STACK_SHIFT: AtomicU64 = AtomicU64::new(0);

/// Does `work` of the kernel that the running call does not know of. No ticks count for that call, modules that run
/// during the work have a stack of their own, and the services they call are not logged for that call.
pub fn with_call_suspended(work: impl FnOnce()) {
    let call = CURRENT.swap(core::ptr::null_mut(), Ordering::Relaxed);
    let services = *SERVICES.lock();
    let shift = STACK_SHIFT.load(Ordering::Relaxed);
    STACK_SHIFT.store(shift + MODULE_STACK_DISTANCE, Ordering::Relaxed);
    work();
    STACK_SHIFT.store(shift, Ordering::Relaxed);
    *SERVICES.lock() = services;
    CURRENT.store(call, Ordering::Relaxed);
}

/// Does `work` that a service of the running call asked for and that calls other modules. They have a stack of their
/// own, and the services they call are not logged for the calling one. Ticks count for the calling one when none of
/// them runs.
pub fn with_nested_call<T>(work: impl FnOnce() -> T) -> T {
    let services = *SERVICES.lock();
    let shift = STACK_SHIFT.load(Ordering::Relaxed);
    STACK_SHIFT.store(shift + MODULE_STACK_DISTANCE, Ordering::Relaxed);
    let done = work();
    STACK_SHIFT.store(shift, Ordering::Relaxed);
    *SERVICES.lock() = services;
    done
}

/// Counts a timer tick, and returns whether the running call has now seen too many.
pub fn tick(activation: &Activation) -> bool {
    let seen = activation.events.fetch_add(TICK, Ordering::Relaxed) / TICK;
    seen >= u64::from(activation.image().ticks)
}

/// Makes the running call end when the kernel's own code, which was interrupted, is done. Has no effect if the call
/// is about to end anyway.
pub fn request_abort(activation: &Activation, reason: u64) {
    activation.events.fetch_or(reason, Ordering::Relaxed);
}

/// Returns the fault by which the running call must end, if that was requested. Checked at the end of a service.
pub fn requested_abort(activation: &Activation) -> Option<Fault> {
    let kind = match () {
        () if activation.has(NMI_ARRIVED) => FaultKind::NonMaskable,
        () if activation.has(BUDGET_EXPIRED) => FaultKind::TimeBudget,
        () => return None,
    };
    Some(Fault { kind, offset: None, address: None })
}

/// Ends the running call from inside a service that holds no resources any more. Returns only if no call is running.
pub fn end_call(fault: Fault, diagnosis: Option<Diagnosis>) {
    if recover(fault, diagnosis).is_some() {
        // SAFETY: a call is running, so the trampoline's frame exists; the service's own frames hold nothing that
        // would have to be dropped.
        unsafe { bareflow_trampoline_recover() }
    }
}

/// Notes the fault that ends the running call, and returns the address and the stack pointer at which execution goes
/// on. `None` if no call is running.
pub fn recover(fault: Fault, diagnosis: Option<Diagnosis>) -> Option<(u64, u64)> {
    let activation = current()?;
    FAULT_TIME.store(clock::now(), Ordering::Relaxed);
    // The lock is free while a call is running.
    if let Some(mut target) = FAULT.try_lock() {
        *target = (fault, diagnosis);
    }
    Some((bareflow_trampoline_recover as *const () as u64, activation.kernel_stack()))
}

/// Makes execution continue in the kernel, where the module was called.
pub fn leave_module(frame: &mut TrapFrame, fault: Fault, diagnosis: Option<Diagnosis>) {
    if let Some((rip, rsp)) = recover(fault, diagnosis) {
        (frame.rip, frame.rsp) = (rip, rsp);
        (frame.cs, frame.ss) = (KERNEL_CODE, 0);
        frame.rflags = CLEAR_FLAGS;
    }
}

/// Returns the clock when the last fault was noted.
pub fn last_fault_time() -> u64 {
    FAULT_TIME.load(Ordering::Relaxed)
}

/// Takes the diagnosis of the last fault.
pub fn take_diagnosis() -> Option<Diagnosis> {
    FAULT.lock().1.take()
}
