//! What is known of a call while it is under way.

use std::cell::Cell;
use std::sync::atomic::{Ordering, compiler_fence};
use std::time::Duration;

use bareflow_loader::diagnosis::{ServiceCall, ServiceLog};
use bareflow_loader::segments::is_within;
use bareflow_loader::{Call, Callees, Fault, FaultKind, Name};

use crate::caller::Caller;
use crate::gate;
use crate::memory::Image;
use crate::stopwatch::{RunClock, Stopwatch};

/// The modules that a call's may call, if any.
pub(crate) type MayCall<'call> = Option<&'call &'call dyn Callees>;

/// One call under way. The gate's code knows the first two fields' places, and
/// the one of services the third.
#[repr(C)]
pub(crate) struct Record<'call> {
    /// Our own stack pointer, below the registers the gate saved; 0 before it did and
    /// when it is about to take them back.
    own_stack: Cell<u64>,
    /// The top of the module's stack.
    module_stack: u64,
    /// The module's stack pointer when it called a service; 0 in its own code.
    pub service_stack: Cell<u64>,
    pub module: &'call Name,
    pub image: &'call Image,
    pub caller: &'call Caller,
    /// The context's buffers: address and length of input and output.
    buffers: [(u64, u64); 2],
    /// The modules it may call, if any.
    pub callees: MayCall<'call>,
    /// Whether it called a service; the caller has the log then.
    called: Cell<bool>,
    /// Whether its time was found to be over while it was inside a service.
    late: Cell<bool>,
    /// The time since it called another module for the first time, without that of those it called.
    time: Cell<Option<Stopwatch>>,
    /// What ends the call.
    pub fault: Cell<Option<Fault>>,
}

impl<'call> Record<'call> {
    /// The record of a call that is about to begin, on a stack that begins there.
    #[inline(always)]
    pub fn new(
        call: &Call<'call, Image>,
        output: &[u8],
        caller: &'call Caller,
        module_stack: u64,
        callees: MayCall<'call>,
    ) -> Record<'call> {
        Record {
            own_stack: Cell::new(0),
            module_stack,
            service_stack: Cell::new(0),
            module: call.module,
            image: call.image,
            caller,
            buffers: [call.input, output].map(|buffer| (buffer.as_ptr() as u64, buffer.len() as u64)),
            callees,
            called: Cell::new(false),
            late: Cell::new(false),
            time: Cell::new(None),
            fault: Cell::new(None),
        }
    }

    /// Whether what happens here and now is the module's doing: it has been called,
    /// is not inside a service, that is, in our own code, and has not returned.
    pub fn is_in_module(&self) -> bool {
        self.own_stack.get() != 0 && self.service_stack.get() == 0
    }

    /// Leaves the time that another module took out of its own. The watchdog may never find a call that does
    /// nothing but call others in its own code: whether its time is over shows here.
    pub fn leave_out(&self, took: [Duration; 2]) {
        let start = || Stopwatch::start(RunClock::of_this_thread(), self.image.placement.budget.time_us);
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
        self.time.set(Some(time));
    }

    /// Has a service end the call when it is done.
    pub fn end_late(&self) {
        self.late.set(true);
    }

    /// Whether `length` bytes from `address` on are the module's to pass on:
    /// in its segments, in its context's buffers, or on its stack.
    pub fn may_read(&self, address: u64, length: u64) -> bool {
        let [input, output] = self.buffers;
        self.image.segments.contains(address, length)
            || [input, output, self.stack()].into_iter().any(|(start, size)| is_within(address, length, start, size))
    }

    /// Whether the module itself may write `length` bytes from `address` on: in its data, in its heap, in its
    /// output, or on its stack.
    pub fn may_write(&self, address: u64, length: u64) -> bool {
        let ([_, _, (data, size)], heap) = (self.image.segments.all(), self.image.segments.heap());
        let [_, output] = self.buffers;
        [(data, size as u64), heap, output, self.stack()]
            .into_iter()
            .any(|(start, size)| is_within(address, length, start, size))
    }

    /// Where its stack begins.
    pub const fn stack_top(&self) -> u64 {
        self.module_stack
    }

    /// Its stack: address and length.
    fn stack(&self) -> (u64, u64) {
        let bottom = self.caller.stack.bottom_below(self.module_stack);
        (bottom, self.module_stack - bottom)
    }

    /// Takes note of a service's call.
    pub fn log_service(&self, call: ServiceCall) {
        let mut log = self.services();
        log.push(call);
        self.called.set(true);
        self.caller.services.set(log);
    }

    /// The services that were called last.
    pub fn services(&self) -> ServiceLog {
        if self.called.get() { self.caller.services.get() } else { ServiceLog::EMPTY }
    }

    /// Notes that a service is at its end. Returns whether the call is, too.
    pub fn leave_service(&self) -> bool {
        // The watchdog's signal finds all done that the service did, and is not missed behind.
        compiler_fence(Ordering::SeqCst);
        self.service_stack.set(0);
        compiler_fence(Ordering::SeqCst);
        if self.late.get() && self.fault.get().is_none() {
            self.fault.set(Some(Fault { kind: FaultKind::TimeBudget, offset: None, address: None }));
        }
        self.fault.get().is_some()
    }

    /// Notes the fault that ends the call, and says where execution goes on, on which stack.
    pub fn recover(&self, fault: Fault) -> (u64, u64) {
        self.fault.set(Some(fault));
        (gate::recovery(), self.own_stack.get())
    }
}
