//! The trampolines through which modules are called: one straight into their code
//! ([`kernel`]), one into ring 3 ([`user`]). Both lead onto a stack of the
//! module's own, and back with every register a function must preserve,
//! whatever happened.

pub mod kernel;
pub mod user;

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use bareflow_loader::diagnosis::{Diagnosis, ServiceCall, ServiceLog};
use bareflow_loader::segments::is_within;
use bareflow_loader::{Call, CallError, Callees, FastReturn, Fault, FaultKind, Name, TimedCall, Timing};
use spin::Mutex;

use crate::clock;
use crate::image::Image;
use crate::memory::layout::MODULE_STACK_DISTANCE;

/// One call under way. The trampolines' code knows the first two fields' places.
#[repr(C)]
pub struct Activation {
    /// The kernel's stack pointer, below rbp and rbx, which the trampoline saved, as soon as it did.
    kernel_stack: MaybeUninit<u64>,
    /// The module's stack pointer at its first instruction, or above its return address.
    module_stack: u64,
    /// What has happened to it: `TICK`s and flags; one number, so that it takes one instruction to begin.
    events: AtomicU64,
    /// The module's name.
    pub module: *const Name,
    image: *const Image,
    /// As the module sees it.
    input: BufferRange,
    /// The same.
    output: BufferRange,
    /// The modules it may call, or null.
    callees: *const &'static dyn Callees,
}

/// Address and length of a call's input or output.
pub type BufferRange = (u64, u64);

/// The modules that a call's may call, if any.
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

    /// The modules it may call, if any.
    pub fn callees(&self) -> Option<&dyn Callees> {
        // SAFETY: as above.
        unsafe { self.callees.as_ref() }.copied()
    }

    /// Whether the module runs in ring 3.
    pub fn is_user(&self) -> bool {
        self.image().user().is_some()
    }

    /// What a call begins with, on `image`, with its stack from `module_stack` down.
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

    /// The bytes that `length` bytes from `address` on are to the module, if
    /// they are its own to pass on: in its segments, in its heap, on its stack, or
    /// in its context's buffers.
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
        // SAFETY: the bytes were just found to lie in memory that was mapped for this
        // module or lent to its call; it stays mapped as long as the call, and waits.
        Some(unsafe { core::slice::from_raw_parts(alias as *const u8, length as usize) })
    }

    /// The kernel's address of `length` bytes from `address` on, if the module itself may write them: in its
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

    /// Where the module's stack begins.
    pub const fn stack_top(&self) -> u64 {
        self.module_stack
    }

    /// The kernel's stack pointer, below what the trampoline saved.
    pub fn kernel_stack(&self) -> u64 {
        // SAFETY: the trampoline saved it before the module's first instruction, and nothing of
        // the kernel's asks for it between the call's activation and that.
        unsafe { self.kernel_stack.assume_init() }
    }

    /// Whether an access to `address` means that the stack has run out.
    pub fn guards(&self, address: u64) -> bool {
        self.image().guards(address.wrapping_sub(self.stack_shift()))
    }

    /// The kernel's address of bytes that are the module's own.
    fn alias_of(&self, address: u64, length: u64) -> Option<u64> {
        let image = self.image();
        if image.segments.contains(address, length) {
            return image.alias_of(address, length);
        }
        let shift = self.stack_shift();
        image.alias_of(address.wrapping_sub(shift), length).map(|alias| alias + shift)
    }

    /// How far above the first stack of the kernel domain this call's stack lies.
    fn stack_shift(&self) -> u64 {
        if self.is_user() { 0 } else { self.module_stack - self.image().stack_top() }
    }

    /// Takes note of a service's call.
    pub fn log_service(&self, call: ServiceCall) {
        let mut log = SERVICES.lock();
        if !self.has(CALLED) {
            *log = ServiceLog::EMPTY;
        }
        log.push(call);
        drop(log);
        self.events.fetch_or(CALLED, Ordering::Relaxed);
    }

    /// The services the call called last.
    pub fn services(&self) -> ServiceLog {
        // A service that is broken off may hold the lock.
        match (self.has(CALLED), SERVICES.try_lock()) {
            (true, Some(log)) => *log,
            _ => ServiceLog::EMPTY,
        }
    }

    fn has(&self, event: u64) -> bool {
        self.events.load(Ordering::Relaxed) & event != 0
    }
}

/// The call under way, or null. The trampolines read it, since a module may have
/// destroyed every register.
#[unsafe(export_name = "bareflow_current_call")]
static CURRENT: AtomicPtr<Activation> = AtomicPtr::new(core::ptr::null_mut());

/// The services that the call under way called last, if it called any.
static SERVICES: Mutex<ServiceLog> = Mutex::new(ServiceLog::EMPTY);

/// The last fault, and what is known of it.
static FAULT: Mutex<(Fault, Option<Diagnosis>)> = Mutex::new((UNKNOWN, None));

/// What the clock said when the last fault was noted.
static FAULT_TIME: AtomicU64 = AtomicU64::new(0);

/// Events of a call: it called a service; it is to end when the kernel's work for it is done,
/// since a non-maskable interrupt came, or its time is up; and ticks it has seen.
const CALLED: u64 = 1;
/// See above.
pub const NMI_ARRIVED: u64 = 2;
/// See above.
pub const BUDGET_EXPIRED: u64 = 4;
const TICK: u64 = 1 << 32;

/// What a trampoline itself finds out, when a call returns.
const CLOBBERED_REGISTER: Fault = Fault { kind: FaultKind::ClobberedRegister, offset: Some(0), address: None };

/// A fault nobody noted, which can't be.
const UNKNOWN: Fault = Fault { kind: FaultKind::GeneralProtection, offset: None, address: None };

/// How a trampoline was left: the module returned.
const RETURNED: u64 = 0;

/// It returned without what a function must preserve. Any other number means that it faulted.
const CLOBBERED: u64 = 1;

unsafe extern "C" {
    fn bareflow_trampoline_recover() -> !;
}

/// Calls a module.
#[inline(always)]
pub fn call(call: &Call<'_, Image>, output: &mut [u8], callees: OptionalCallees<'_>) -> Result<TimedCall, CallError> {
    match call.image.user() {
        None => kernel::call(call, output, callees),
        Some(user) => user::call(call, user, output, callees),
    }
}

/// Calls a trampoline, an operand of `asm!`, with that activation in rcx, that value in rdx, and these values in their
/// registers, and gives up what it does not keep. Says the module's result, and how the trampoline was left.
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

/// Goes through a trampoline: makes `activation` the call under way, calls `enter`, and reads what came of it. `enter`
/// says the result and how the trampoline was left.
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
    // The upper half of the register means nothing.
    (left, FastReturn { result: result as u32 as i32, cycles })
}

/// What came of a call, by how its trampoline was left.
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

/// The call under way.
pub fn current() -> Option<&'static Activation> {
    // SAFETY: not null only while a call is under way, whose frame holds the
    // activation; callers are traps and services, which end before it does.
    unsafe { CURRENT.load(Ordering::Relaxed).as_ref() }
}

/// How far above the first stack the next call's lies, in the kernel domain: calls inside of calls have
/// stacks of their own.
static STACK_SHIFT: AtomicU64 = AtomicU64::new(0);

/// Does the kernel's own work while a call is under way that does not know of it: no tick counts for
/// that call, modules that run meanwhile have a stack of their own, and what they call is not taken for that call's.
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

/// Does what a service of the call under way asks for and calls other modules: they have a stack of
/// their own, and what they call is not taken for that call's. Ticks count for it when none of them runs.
pub fn with_nested_call<T>(work: impl FnOnce() -> T) -> T {
    let services = *SERVICES.lock();
    let shift = STACK_SHIFT.load(Ordering::Relaxed);
    STACK_SHIFT.store(shift + MODULE_STACK_DISTANCE, Ordering::Relaxed);
    let done = work();
    STACK_SHIFT.store(shift, Ordering::Relaxed);
    *SERVICES.lock() = services;
    done
}

/// Counts a timer tick, and says whether it was one too many for the call under way.
pub fn tick(activation: &Activation) -> bool {
    let seen = activation.events.fetch_add(TICK, Ordering::Relaxed) / TICK;
    seen >= u64::from(activation.image().ticks)
}

/// Has the call under way end when the kernel's own code, which was
/// interrupted, is done. Where the call is about to end anyway, nothing comes of it.
pub fn request_abort(activation: &Activation, reason: u64) {
    activation.events.fetch_or(reason, Ordering::Relaxed);
}

/// How the call under way is to end, if that was asked for: looked at when a service is done.
pub fn requested_abort(activation: &Activation) -> Option<Fault> {
    let kind = match () {
        () if activation.has(NMI_ARRIVED) => FaultKind::NonMaskable,
        () if activation.has(BUDGET_EXPIRED) => FaultKind::TimeBudget,
        () => return None,
    };
    Some(Fault { kind, offset: None, address: None })
}

/// Ends the call under way from inside a service that holds nothing any more.
/// Returns only where no call is under way.
pub fn end_call(fault: Fault, diagnosis: Option<Diagnosis>) {
    if recover(fault, diagnosis).is_some() {
        // SAFETY: a call is under way, so the trampoline's frame is there to go back to;
        // the service's own frames hold nothing that would have to be dropped.
        unsafe { bareflow_trampoline_recover() }
    }
}

/// Notes the fault that ends the call under way, and says where execution goes
/// on, on which stack. `None` when no call is under way.
pub fn recover(fault: Fault, diagnosis: Option<Diagnosis>) -> Option<(u64, u64)> {
    let activation = current()?;
    FAULT_TIME.store(clock::now(), Ordering::Relaxed);
    // Nobody holds it while a call is under way.
    if let Some(mut target) = FAULT.try_lock() {
        *target = (fault, diagnosis);
    }
    Some((bareflow_trampoline_recover as *const () as u64, activation.kernel_stack()))
}

/// What the clock said when the last fault was noted.
pub fn last_fault_time() -> u64 {
    FAULT_TIME.load(Ordering::Relaxed)
}

/// What is known of the last fault, once.
pub fn take_diagnosis() -> Option<Diagnosis> {
    FAULT.lock().1.take()
}
