//! The state of a running call.

mod thread;

use std::cell::Cell;
use std::ptr::{from_ref, null};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering, compiler_fence};
use std::time::Duration;

use bareflow_loader::diagnosis::{ServiceCall, ServiceLog};
use bareflow_loader::segments::is_within;
use bareflow_loader::{Call, Callees, Fault, FaultKind, Name, Segments};
use bareflow_runtime::{Reach, RunningCall};

use crate::memory::Image;
use crate::stopwatch::{RunClock, Stopwatch};
use crate::watchdog::INACTIVE;

pub(crate) use thread::{LogSink, ThreadContext};

/// A thread's word for the trampoline: the activation of its innermost call, or of its next one.
pub(crate) type CurrentCall = AtomicPtr<Activation>;

/// The exit reason if the module returned, and the activation was touched.
pub(crate) const TOUCHED: u32 = 4;

/// The reach of a call beyond its module, if it has any.
pub(crate) type OptionalReach<'call> = Option<&'call Reach<'call>>;

/// The state of one running call; between calls, the state that the thread keeps for the next one.
///
/// The assembly code of the trampolines and services depends on the offsets of the first six fields.
///
/// A call writes only the fields that differ between calls; when it ends, all others are again as
/// [`inactive`](Self::inactive) sets them.
#[repr(C)]
pub(crate) struct Activation {
    /// Our own stack pointer, below the registers that the trampoline saved.
    ///
    /// It is 0 before the trampoline runs and after the call ends, and [`INACTIVE`] while the thread uses another
    /// activation.
    own_stack: AtomicU64,
    /// The top of the module's stack.
    module_stack: Cell<u64>,
    /// The module's stack pointer when it called a service; 0 while its own code runs.
    pub service_stack: Cell<u64>,
    /// The clock's reading when the module was called.
    start: Cell<u64>,
    /// [`TOUCHED`] if any field below was changed; else 0.
    touched: Cell<u32>,
    /// 1 while a call through a checking trampoline is running; else 0.
    check_abi: Cell<u32>,
    module: Cell<*const Name>,
    image: Cell<*const Image>,
    thread: Cell<*const ThreadContext>,
    /// The context's buffers: address and length of input and output.
    buffers: Cell<[(u64, u64); 2]>,
    /// The reach of the call beyond its module, or null if it has none.
    reach: Cell<*const Reach<'static>>,
    /// Whether the call has used a service; if so, the thread's context has the log.
    called: Cell<bool>,
    /// Whether its time ran out while it was inside a service.
    late: Cell<bool>,
    /// The time since it first called another module, without the time of its callees.
    time: Cell<Option<Stopwatch>>,
    /// The time of the call with all that it calls, if it is that of an event's handler.
    total: Cell<Option<Stopwatch>>,
    /// The fault that ends the call.
    fault: Cell<Option<Fault>>,
}

impl Activation {
    /// Returns an activation without a call.
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
            reach: Cell::new(null()),
            called: Cell::new(false),
            late: Cell::new(false),
            time: Cell::new(None),
            total: Cell::new(None),
            fault: Cell::new(None),
        }
    }

    /// Sets the thread that calls; once, before the first call.
    pub fn belongs_to(&self, thread: &ThreadContext) {
        self.thread.set(thread);
    }

    /// Records a call that is about to begin on the stack whose top is `module_stack`.
    #[inline(always)]
    pub fn begin(&self, call: &Call<'_, Image>, module_stack: u64) {
        self.module_stack.set(module_stack);
        self.module.set(call.module());
        self.image.set(call.image());
    }

    /// Sets the buffers and the reach of the call that is about to begin.
    pub fn set_buffers(&self, input: &[u8], output: &[u8], reach: OptionalReach<'_>) {
        self.buffers.set([input, output].map(|buffer| (buffer.as_ptr() as u64, buffer.len() as u64)));
        self.reach.set(reach.map_or(null(), |reach| from_ref(reach).cast()));
    }

    /// Clears the borrowed buffers and the reach at the end of the call.
    pub fn clear_buffers(&self) {
        self.buffers.set([(0, 0); 2]);
        self.reach.set(null());
    }

    /// Resets the activation for the next call. Returns the fault that was recorded for this one.
    #[cold]
    pub fn end(&self) -> Option<Fault> {
        self.touched.set(0);
        self.called.set(false);
        self.late.set(false);
        self.service_stack.set(0);
        self.time.set(None);
        self.fault.take()
    }

    /// Returns the clock's reading when the module was called, if the call is timed.
    #[inline(always)]
    pub const fn start(&self) -> u64 {
        self.start.get()
    }

    /// Whether a call is running.
    #[inline(always)]
    pub fn is_under_way(&self) -> bool {
        self.own_stack.load(Ordering::Relaxed) > INACTIVE
    }

    /// Whether the next call may use this activation: it is the thread's current one, and no call is running.
    #[inline(always)]
    pub fn is_free(&self) -> bool {
        self.own_stack.load(Ordering::Relaxed) == 0
    }

    /// Records that the thread now uses another activation.
    pub fn deactivate(&self) {
        self.own_stack.store(INACTIVE, Ordering::Relaxed);
    }

    /// Records that the thread now uses this activation.
    pub fn activate(&self) {
        self.own_stack.store(0, Ordering::Relaxed);
    }

    /// Returns the address for the trampoline.
    #[inline(always)]
    pub const fn address(&self) -> *mut Activation {
        from_ref(self).cast_mut()
    }

    /// Returns the word that says whether a call is running, for the watchdog.
    pub const fn word(&self) -> *mut AtomicU64 {
        from_ref(&self.own_stack).cast_mut()
    }

    /// Returns the module's name.
    pub fn module(&self) -> &Name {
        // SAFETY: `begin` took it from the call, which borrows it and is still running.
        unsafe { &*self.module.get() }
    }

    /// Returns the module's memory.
    pub fn image(&self) -> &Image {
        // SAFETY: as above.
        unsafe { &*self.image.get() }
    }

    /// Returns the context of the calling thread.
    pub fn thread(&self) -> &ThreadContext {
        // SAFETY: the context owns the activation, or made the call whose activation is on the stack.
        unsafe { &*self.thread.get() }
    }

    /// Returns the modules that the call may call, if any.
    pub fn callees(&self) -> Option<&dyn Callees> {
        self.reach()?.callees
    }

    fn reach(&self) -> Option<&Reach<'_>> {
        // SAFETY: `set_buffers` took it from the call's arguments, and `clear_buffers` runs before those end.
        unsafe { self.reach.get().as_ref() }
    }

    /// Returns whether bytes lie in memory that the caller lends to the call of a method; `to_write`: to be written.
    fn is_lent(&self, address: u64, length: u64, to_write: bool) -> bool {
        let [(input, _), (output, _)] = self.buffers.get();
        // SAFETY: only a method's call in this process has a shape that is not empty; it was made in place.
        self.reach().is_some_and(|reach| unsafe { reach.lends(input, output, address, length, to_write) })
    }

    /// Whether a call through a checking trampoline is running. If so, the module itself has set its flags.
    pub const fn is_checking(&self) -> bool {
        self.check_abi.get() != 0
    }

    /// Returns the fault that ends the call, if there is one already.
    pub fn fault(&self) -> Option<Fault> {
        self.fault.get()
    }

    /// Records the fault that ends the call.
    pub fn set_fault(&self, fault: Fault) {
        self.touched.set(TOUCHED);
        self.fault.set(Some(fault));
    }

    /// Whether the module's own code is running now: it has been called, is not inside a service (which is our own
    /// code), and has not returned.
    pub fn is_in_module(&self) -> bool {
        self.is_under_way() && self.service_stack.get() == 0
    }

    /// Sets the time of the call with all that it calls, if that is limited.
    pub fn set_total(&self, total: Option<Stopwatch>) {
        self.total.set(total);
    }

    /// Excludes the time of a callee from the call's own time.
    ///
    /// The watchdog may never see the own code of a call that does nothing but call other modules, so its time limit is
    /// checked here.
    pub fn leave_out(&self, took: [Duration; 2]) {
        let start = || Stopwatch::start(RunClock::of_this_thread(), self.image().time_us);
        let time = match self.time.get() {
            None => start(),
            Some(mut time) => {
                time.exclude(took);
                time
            }
        };
        if time.left().is_none() || self.total.get().is_some_and(|total| total.left().is_none()) {
            self.end_late();
        }
        self.touched.set(TOUCHED);
        self.time.set(Some(time));
    }

    /// Makes the running service end the call when it is done.
    pub fn end_late(&self) {
        self.touched.set(TOUCHED);
        self.late.set(true);
    }

    /// Returns the module's stack: address and length.
    fn stack(&self) -> (u64, u64) {
        let top = self.stack_top();
        let bottom = self.thread().stack.bottom_below(top);
        (bottom, top - bottom)
    }

    /// Records the end of a service. Returns whether the call ends with it.
    pub fn leave_service(&self) -> bool {
        // When the watchdog's signal arrives, the service must be complete, and a signal after it must not be missed.
        compiler_fence(Ordering::SeqCst);
        self.service_stack.set(0);
        compiler_fence(Ordering::SeqCst);
        if self.late.get() && self.fault.get().is_none() {
            self.set_fault(Fault { kind: FaultKind::TimeBudget, offset: None, address: None });
        }
        self.fault.get().is_some()
    }

    /// Records the fault that ends the call. Returns our own stack pointer, with which execution continues.
    pub fn fail(&self, fault: Fault) -> u64 {
        self.set_fault(fault);
        self.own_stack.load(Ordering::Relaxed)
    }
}

// SAFETY: what both find is mapped in this process: the image and the buffers as long as the call, which borrows them,
// and the thread's stack; regions until it closes them. The module waits, since its thread runs this code.
unsafe impl RunningCall for Activation {
    fn segments(&self) -> &Segments {
        &self.image().segments
    }

    fn stack_top(&self) -> u64 {
        self.module_stack.get()
    }

    fn guards(&self, address: u64) -> bool {
        self.thread().stack.guards(address)
    }

    fn is_beyond_memory(&self, address: u64) -> bool {
        self.image().window.as_ref().is_some_and(|window| window.is_beyond(address))
    }

    fn readable(&self, address: u64, length: u64) -> Option<u64> {
        let [input, output] = self.buffers.get();
        let lies_in = |(start, size)| is_within(address, length, start, size);
        let readable =
            self.segments().contains(address, length) || [input, output, self.stack()].into_iter().any(lies_in);
        let readable = readable || self.image().has_memory(address, length);
        let found = (readable || self.is_lent(address, length, false)).then_some(address);
        found.or_else(|| self.find_in_region(address, length, false))
    }

    fn writable(&self, address: u64, length: u64) -> Option<u64> {
        let ([_, _, (data, size)], heap) = (self.segments().all(), self.segments().heap());
        let [_, output] = self.buffers.get();
        let lies_in = |(start, size)| is_within(address, length, start, size);
        let writable = [(data, size as u64), heap, output, self.stack()].into_iter().any(lies_in);
        let writable = writable || self.image().has_memory(address, length);
        let found = (writable || self.is_lent(address, length, true)).then_some(address);
        found.or_else(|| self.find_in_region(address, length, true))
    }

    fn log_service(&self, call: ServiceCall) {
        let mut log = self.services();
        log.push(call);
        self.touched.set(TOUCHED);
        self.called.set(true);
        self.thread().services.set(log);
    }

    fn services(&self) -> ServiceLog {
        if self.called.get() { self.thread().services.get() } else { ServiceLog::EMPTY }
    }
}
