//! What is known of a call while it is under way.

use std::cell::Cell;
use std::ptr::{from_ref, null};
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};
use std::time::Duration;

use bareflow_loader::diagnosis::{ServiceCall, ServiceLog};
use bareflow_loader::segments::is_within;
use bareflow_loader::{Call, Callees, Fault, FaultKind, Name};

use crate::memory::Image;
use crate::stopwatch::{RunClock, Stopwatch};
use crate::thread_context::ThreadContext;
use crate::trampoline;

/// The modules that a call's may call, if any.
pub(crate) type OptionalCallees<'call> = Option<&'call &'call dyn Callees>;

/// Instead of a stack pointer: of an activation that its thread does not have.
const INACTIVE: u64 = 1;

/// One call under way, and between calls what the thread keeps for the next one. The code of
/// trampoline and services knows the first six fields' places.
///
/// Calls write to it what differs between them; all else is as after [`inactive`](Self::idle) again when they end.
#[repr(C)]
pub(crate) struct Activation {
    /// Our own stack pointer, below what the trampoline saved; 0 before it did and when the call is at its end, and
    /// [`INACTIVE`] where the thread has another activation.
    own_stack: AtomicU64,
    /// The top of the module's stack.
    module_stack: Cell<u64>,
    /// The module's stack pointer when it called a service; 0 in its own code.
    pub service_stack: Cell<u64>,
    /// What the clock said when the module was called.
    start: Cell<u64>,
    /// [`TOUCHED`](trampoline::TOUCHED) where anything below was changed; else 0.
    touched: Cell<u32>,
    /// 1 while a checking trampoline's call is under way; else 0.
    check_abi: Cell<u32>,
    module: Cell<*const Name>,
    image: Cell<*const Image>,
    thread: Cell<*const ThreadContext>,
    /// The context's buffers: address and length of input and output.
    buffers: Cell<[(u64, u64); 2]>,
    /// The modules it may call, or null.
    callees: Cell<*const &'static dyn Callees>,
    /// Whether it called a service; the caller has the log then.
    called: Cell<bool>,
    /// Whether its time was found to be over while it was inside a service.
    late: Cell<bool>,
    /// The time since it called another module for the first time, without that of those it called.
    time: Cell<Option<Stopwatch>>,
    /// What ends the call.
    fault: Cell<Option<Fault>>,
}

impl Activation {
    /// The activation of no call.
    pub const fn inactive() -> Activation {
        Activation {
            own_stack: AtomicU64::new(INACTIVE),
            module_stack: Cell::new(0),
            service_stack: Cell::new(0),
            start: Cell::new(0),
            touched: Cell::new(0),
            check_abi: Cell::new(0),
            module: Cell::new(null()),
            image: Cell::new(null()),
            thread: Cell::new(null()),
            buffers: Cell::new([(0, 0); 2]),
            callees: Cell::new(null()),
            called: Cell::new(false),
            late: Cell::new(false),
            time: Cell::new(None),
            fault: Cell::new(None),
        }
    }

    /// Notes who calls: once, before the first call.
    pub fn belongs_to(&self, thread: &ThreadContext) {
        self.thread.set(thread);
    }

    /// Notes a call that is about to begin, on a stack that begins there.
    #[inline(always)]
    pub fn begin(&self, call: &Call<'_, Image>, module_stack: u64) {
        self.module_stack.set(module_stack);
        self.module.set(call.module);
        self.image.set(call.image);
    }

    /// Notes what the call about to begin may read and write, and whom it may call.
    pub fn set_buffers(&self, input: &[u8], output: &[u8], callees: OptionalCallees<'_>) {
        self.buffers.set([input, output].map(|buffer| (buffer.as_ptr() as u64, buffer.len() as u64)));
        self.callees.set(callees.map_or(null(), |callees| from_ref(callees).cast()));
    }

    /// Notes that the call is at its end, and what was lent to it no longer its own.
    pub fn clear_buffers(&self) {
        self.buffers.set([(0, 0); 2]);
        self.callees.set(null());
    }

    /// Makes it ready for the next call. Returns the fault that was noted for this one.
    #[cold]
    pub fn end(&self) -> Option<Fault> {
        self.touched.set(0);
        self.called.set(false);
        self.late.set(false);
        self.service_stack.set(0);
        self.time.set(None);
        self.fault.take()
    }

    /// What the clock said when the module was called, where it was asked.
    #[inline(always)]
    pub const fn start(&self) -> u64 {
        self.start.get()
    }

    /// Whether a call is under way.
    #[inline(always)]
    pub fn is_under_way(&self) -> bool {
        self.own_stack.load(Ordering::Relaxed) > INACTIVE
    }

    /// Whether the next call may be noted here: the thread has this activation, and no call is under way.
    #[inline(always)]
    pub fn is_free(&self) -> bool {
        self.own_stack.load(Ordering::Relaxed) == 0
    }

    /// Notes that the thread has another activation from now on.
    pub fn deactivate(&self) {
        self.own_stack.store(INACTIVE, Ordering::Relaxed);
    }

    /// Notes that the thread has this activation from now on.
    pub fn activate(&self) {
        self.own_stack.store(0, Ordering::Relaxed);
    }

    /// Where the trampoline finds it.
    #[inline(always)]
    pub const fn address(&self) -> *mut Activation {
        from_ref(self).cast_mut()
    }

    /// The module's name.
    pub fn module(&self) -> &Name {
        // SAFETY: `begin` took it from the call, which borrows it and is under way.
        unsafe { &*self.module.get() }
    }

    /// The module's memory.
    pub fn image(&self) -> &Image {
        // SAFETY: as above.
        unsafe { &*self.image.get() }
    }

    /// Who calls.
    pub fn thread(&self) -> &ThreadContext {
        // SAFETY: the caller holds the activation, or made the call that one on the stack is for.
        unsafe { &*self.thread.get() }
    }

    /// The modules it may call, if any.
    pub fn callees(&self) -> Option<&dyn Callees> {
        // SAFETY: `set_buffers` took them from the call's arguments, and `clear_buffers` comes before their end.
        unsafe { self.callees.get().as_ref() }.copied()
    }

    /// Whether a checking trampoline's call is under way: then its flags are the module's own doing.
    pub const fn is_checking(&self) -> bool {
        self.check_abi.get() != 0
    }

    /// What ends the call, if anything does already.
    pub fn fault(&self) -> Option<Fault> {
        self.fault.get()
    }

    /// Notes what ends the call.
    pub fn set_fault(&self, fault: Fault) {
        self.touched.set(trampoline::TOUCHED);
        self.fault.set(Some(fault));
    }

    /// Whether what happens here and now is the module's doing: it has been called,
    /// is not inside a service, that is, in our own code, and has not returned.
    pub fn is_in_module(&self) -> bool {
        self.is_under_way() && self.service_stack.get() == 0
    }

    /// Leaves the time that another module took out of its own. The watchdog may never find a call that does
    /// nothing but call others in its own code: whether its time is over shows here.
    pub fn leave_out(&self, took: [Duration; 2]) {
        let start = || Stopwatch::start(RunClock::of_this_thread(), self.image().time_us);
        let time = match self.time.get() {
            None => start(),
            Some(mut time) => {
                time.exclude(took);
                time
            }
        };
        if time.left().is_none() {
            self.end_late();
        }
        self.touched.set(trampoline::TOUCHED);
        self.time.set(Some(time));
    }

    /// Has a service end the call when it is done.
    pub fn end_late(&self) {
        self.touched.set(trampoline::TOUCHED);
        self.late.set(true);
    }

    /// Whether `length` bytes from `address` on are the module's to pass on:
    /// in its segments, in its context's buffers, or on its stack.
    pub fn may_read(&self, address: u64, length: u64) -> bool {
        let [input, output] = self.buffers.get();
        self.image().segments.contains(address, length)
            || [input, output, self.stack()].into_iter().any(|(start, size)| is_within(address, length, start, size))
    }

    /// Whether the module itself may write `length` bytes from `address` on: in its data, in its heap, in its
    /// output, or on its stack.
    pub fn may_write(&self, address: u64, length: u64) -> bool {
        let ([_, _, (data, size)], heap) = (self.image().segments.all(), self.image().segments.heap());
        let [_, output] = self.buffers.get();
        [(data, size as u64), heap, output, self.stack()]
            .into_iter()
            .any(|(start, size)| is_within(address, length, start, size))
    }

    /// Where its stack begins.
    pub const fn stack_top(&self) -> u64 {
        self.module_stack.get()
    }

    /// Its stack: address and length.
    fn stack(&self) -> (u64, u64) {
        let top = self.stack_top();
        let bottom = self.thread().stack.bottom_below(top);
        (bottom, top - bottom)
    }

    /// Takes note of a service's call.
    pub fn log_service(&self, call: ServiceCall) {
        let mut log = self.services();
        log.push(call);
        self.touched.set(trampoline::TOUCHED);
        self.called.set(true);
        self.thread().services.set(log);
    }

    /// The services that were called last.
    pub fn services(&self) -> ServiceLog {
        if self.called.get() { self.thread().services.get() } else { ServiceLog::EMPTY }
    }

    /// Notes that a service is at its end. Returns whether the call is, too.
    pub fn leave_service(&self) -> bool {
        // The watchdog's signal finds all done that the service did, and is not missed behind.
        compiler_fence(Ordering::SeqCst);
        self.service_stack.set(0);
        compiler_fence(Ordering::SeqCst);
        if self.late.get() && self.fault.get().is_none() {
            self.set_fault(Fault { kind: FaultKind::TimeBudget, offset: None, address: None });
        }
        self.fault.get().is_some()
    }

    /// Notes the fault that ends the call, and says where execution goes on, on which stack.
    pub fn recover(&self, fault: Fault) -> (u64, u64) {
        self.set_fault(fault);
        (trampoline::recovery(), self.own_stack.load(Ordering::Relaxed))
    }
}
