//! A running call, and what the kernel may access of its module's memory.

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU64, Ordering};

use bareflow_abi::interface::Side;
use bareflow_loader::diagnosis::{ServiceCall, ServiceLog};
use bareflow_loader::segments::is_within;
use bareflow_loader::{Callees, Fault, FaultKind, Name, Segments};
use bareflow_runtime::{Reach, RunningCall};

use super::this_processor;
use crate::image::Image;
use crate::layout::user as layout;

/// The event of a service's call. The flags below end the call when the kernel's work for it is done; `TICK` counts
/// ticks.
const CALLED: u64 = 1;
/// The event of a non-maskable interrupt during the kernel's work for the call.
pub const NMI_ARRIVED: u64 = 2;
/// The event of the call's time running out during the kernel's work for it.
pub const BUDGET_EXPIRED: u64 = 4;
const TICK: u64 = 1 << 32;

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
    module: *const Name,
    image: *const Image,
    /// The address and length of the input, as the module sees it.
    input: BufferRange,
    /// The address and length of the output, as the module sees it.
    output: BufferRange,
    /// The reach of the call beyond its module, or null if it has none.
    reach: *const Reach<'static>,
}

/// The address and length of a call's input or output.
pub type BufferRange = (u64, u64);

/// The reach of a call beyond its module, if it has any.
pub type OptionalReach<'call> = Option<&'call Reach<'call>>;

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
    pub(crate) fn callees(&self) -> Option<&dyn Callees> {
        self.reach()?.callees
    }

    fn reach(&self) -> Option<&Reach<'_>> {
        // SAFETY: as above.
        unsafe { self.reach.as_ref() }
    }

    /// Returns whether bytes lie in memory that the caller lends to the call of a method; `to_write`: to be written.
    fn is_lent(&self, address: u64, length: u64, to_write: bool) -> bool {
        let lends = |reach: &Reach<'_>| {
            // SAFETY: only a method's call in the kernel domain has a shape that is not empty; it was made in place.
            unsafe { reach.lends(self.input.0, self.output.0, address, length, to_write) }
        };
        self.reach().is_some_and(lends)
    }

    /// Returns whether the module runs in ring 3.
    pub fn is_user(&self) -> bool {
        self.image().user().is_some()
    }

    /// Creates the activation of a call on `image`, with its stack from `module_stack` down.
    #[inline(always)]
    pub(super) const fn new(
        module: &Name,
        image: &Image,
        module_stack: u64,
        (input, output): (BufferRange, BufferRange),
        reach: OptionalReach<'_>,
    ) -> Activation {
        Activation {
            kernel_stack: MaybeUninit::uninit(),
            module_stack,
            events: AtomicU64::new(0),
            module,
            image,
            input,
            output,
            reach: match reach {
                Some(reach) => core::ptr::from_ref(reach).cast(),
                None => core::ptr::null(),
            },
        }
    }

    /// Returns the kernel's stack pointer, below what the trampoline saved.
    pub(super) fn kernel_stack(&self) -> u64 {
        // SAFETY: the trampoline saved it before the module's first instruction, and no code of the kernel calls this
        // between the activation's creation and that.
        unsafe { self.kernel_stack.assume_init() }
    }

    /// Returns the kernel's address of bytes on the call's stack.
    #[inline(always)]
    fn stack_alias(&self, address: u64, length: u64) -> Option<u64> {
        let image = self.image();
        let (top, alias) = match image.user() {
            None => (self.module_stack, self.module_stack),
            Some(user) => (layout::STACK_TOP, user.stack_alias_top()),
        };
        let from_top = top.wrapping_sub(address);
        (from_top <= image.stack_size() && length <= from_top).then(|| alias - from_top)
    }

    /// Returns the kernel's address of bytes in the call's input or output.
    #[inline]
    fn buffer_alias(&self, side: Side, address: u64, length: u64) -> Option<u64> {
        let (start, size) = if side == Side::Input { self.input } else { self.output };
        if !is_within(address, length, start, size) {
            return None;
        }
        match self.image().user() {
            Some(user) => user.buffer_alias(side, address, length),
            None => Some(address),
        }
    }

    #[inline(never)]
    fn readable_off_stack(&self, address: u64, length: u64) -> Option<u64> {
        let lent = [Side::Input, Side::Output].into_iter().find_map(|side| self.buffer_alias(side, address, length));
        let found = lent.or_else(|| self.image().alias_of(address, length));
        let found = found.or_else(|| {
            let is_lent = !self.is_user() && self.is_lent(address, length, false);
            is_lent.then_some(address)
        });
        found.or_else(|| self.callees()?.find_in_region(address, length, false))
    }

    #[inline(never)]
    fn writable_off_stack(&self, address: u64, length: u64) -> Option<u64> {
        let output = self.buffer_alias(Side::Output, address, length);
        if output.is_some() {
            return output;
        }
        let image = self.image();
        if image.is_data(address, length) {
            return image.alias_of(address, length);
        }
        if !self.is_user() && self.is_lent(address, length, true) {
            return Some(address);
        }
        self.callees()?.find_in_region(address, length, true)
    }

    /// Returns the distance of this call's stack from the first stack of the kernel domain.
    fn stack_shift(&self) -> u64 {
        if self.is_user() { 0 } else { self.module_stack - self.image().stack_top() }
    }

    /// Returns whether the call called a service that is in the log.
    pub(super) fn has_log(&self) -> bool {
        self.has(CALLED)
    }

    fn has(&self, event: u64) -> bool {
        self.events.load(Ordering::Relaxed) & event != 0
    }
}

// SAFETY: what both find is mapped in the kernel for this module, lent to its call, which borrows it, or in a region that
// it has open, which stays mapped until it closes it; the kernel's code runs, so the module does not.
unsafe impl RunningCall for Activation {
    fn segments(&self) -> &Segments {
        &self.image().segments
    }

    fn stack_top(&self) -> u64 {
        self.module_stack
    }

    fn guards(&self, address: u64) -> bool {
        self.image().guards(address.wrapping_sub(self.stack_shift()))
    }

    fn is_beyond_memory(&self, address: u64) -> bool {
        self.image().window().is_some_and(|window| window.is_beyond(address))
    }

    // Most of what a module passes lies on its stack.
    #[inline(always)]
    fn readable(&self, address: u64, length: u64) -> Option<u64> {
        self.stack_alias(address, length).or_else(|| self.readable_off_stack(address, length))
    }

    #[inline(always)]
    fn writable(&self, address: u64, length: u64) -> Option<u64> {
        self.stack_alias(address, length).or_else(|| self.writable_off_stack(address, length))
    }

    #[inline(never)]
    fn log_service(&self, call: ServiceCall) {
        let mut log = this_processor().services.lock();
        if !self.has(CALLED) {
            *log = ServiceLog::EMPTY;
        }
        log.push(call);
        drop(log);
        self.events.fetch_or(CALLED, Ordering::Relaxed);
    }

    fn services(&self) -> ServiceLog {
        // A service that was aborted may hold the lock.
        match (self.has(CALLED), this_processor().services.try_lock()) {
            (true, Some(log)) => *log,
            _ => ServiceLog::EMPTY,
        }
    }
}

/// Counts a timer tick, which met the running call or what the kernel does for it, and returns whether the call has now seen too
/// many.
pub fn tick(activation: &Activation, in_kernel: bool) -> bool {
    let seen = activation.events.fetch_add(TICK, Ordering::Relaxed) / TICK;
    let is_event_over = this_processor().event_limit.tick(in_kernel);
    seen >= u64::from(activation.image().ticks) || is_event_over
}

/// Makes the running call end when the kernel's own code, which was interrupted, is done. Has no effect if the call
/// is about to end anyway.
pub fn request_abort(activation: &Activation, reason: u64) {
    activation.events.fetch_or(reason, Ordering::Relaxed);
}

/// Returns the fault by which the running call must end, if that was requested. Checked at the end of a service.
#[inline]
pub fn requested_abort(activation: &Activation) -> Option<Fault> {
    if !activation.has(NMI_ARRIVED | BUDGET_EXPIRED) {
        return None;
    }
    let kind = match () {
        () if activation.has(NMI_ARRIVED) => FaultKind::NonMaskable,
        () => FaultKind::TimeBudget,
    };
    Some(Fault { kind, offset: None, address: None })
}
