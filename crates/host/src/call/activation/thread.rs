//! The caller of modules: a thread of this process, or the process in which a module of the user domain runs.

use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::atomic::Ordering;

use bareflow_loader::diagnosis::ServiceLog;
use bareflow_loader::{Diagnosis, EventLimits};

use super::{Activation, CurrentCall};
use crate::call::code::Trampolines;
use crate::call::stack::Stack;
use crate::channel::Channel;
use crate::stopwatch::{RunClock, Stopwatch};
use crate::watchdog::WatchSlot;
use crate::{Clock, Log};

/// The state that all calls of one thread share. It must not move, since the thread and the activation refer to it.
pub(crate) struct ThreadContext {
    /// The activation of the outermost call.
    pub activation: Activation,
    /// The thread's word for the trampoline.
    pub current: &'static CurrentCall,
    /// The trampolines for calls that are not checked, as the make of the processor asks for.
    pub trampolines: Trampolines,
    pub stack: Stack,
    /// The slot that the watchdog checks.
    pub watch_slot: &'static WatchSlot,
    pub log_sink: LogSink,
    /// The clock for modules, if it is not the processor's.
    pub clock: Option<Clock>,
    /// The limits of the next call, if it is that of an event's handler.
    pub limits: Cell<Option<EventLimits>>,
    /// The diagnosis of the last fault.
    pub diagnosis: Cell<Option<Diagnosis>>,
    /// The latest services of the last call that used any.
    pub services: Cell<ServiceLog>,
}

impl ThreadContext {
    /// Binds the activation to this context, once it is where it stays.
    pub fn bind_record(&self) {
        self.activation.belongs_to(self);
    }

    /// Returns the budget of a call of an image with this one, in microseconds, and the time of the call with all that it
    /// calls: those of an event's handler are limited.
    pub fn budget(&self, time_us: u32) -> (u32, Option<Stopwatch>) {
        match self.limits.take() {
            None => (time_us, None),
            Some(EventLimits { own_us, total_us }) => {
                (time_us.min(own_us), Some(Stopwatch::start(RunClock::of_this_thread(), total_us)))
            }
        }
    }

    /// Makes this the thread's current context. No call may be running.
    pub fn make_current(&self) {
        let before = self.current.swap(self.activation.address(), Ordering::AcqRel);
        // SAFETY: the activation is another platform's of this thread, which removes it from the word when it is
        // dropped.
        if let Some(before) = unsafe { before.as_ref() } {
            before.deactivate();
        }
        self.activation.activate();
        self.watch_slot.watch(self.activation.word());
    }
}

impl Drop for ThreadContext {
    fn drop(&mut self) {
        let activation = self.activation.address();
        self.watch_slot.forget(self.activation.word());
        if self.current.load(Ordering::Relaxed) == activation {
            self.current.store(null_mut(), Ordering::Relaxed);
        }
    }
}

/// The destination of the lines that modules log.
pub(crate) enum LogSink {
    /// The embedder's callback.
    Log(Log),
    /// The process that made this one.
    Parent(Channel),
}
