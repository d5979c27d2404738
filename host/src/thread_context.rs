//! The side that calls modules: a thread of this process, or the process in
//! which a module of the user domain runs.

use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::atomic::Ordering;

use bareflow_loader::diagnosis::ServiceLog;
use bareflow_loader::{Diagnosis, Name, Printable};

use crate::activation::Activation;
use crate::channel::Channel;
use crate::sandbox;
use crate::stack::Stack;
use crate::trampoline::CurrentCall;
use crate::watchdog::WatchSlot;
use crate::{Clock, Log};

/// All that calls of one thread share. It stays where it is, since the thread and the activation know where.
pub(crate) struct ThreadContext {
    /// The call under way, if it lies in no other one.
    pub activation: Activation,
    /// What the thread keeps for the trampoline.
    pub current: &'static CurrentCall,
    pub stack: Stack,
    /// Where the watchdog looks.
    pub watch_slot: &'static WatchSlot,
    pub log_sink: LogSink,
    /// What tells modules the time, if the processor does not.
    pub clock: Option<Clock>,
    /// What is known of the last fault.
    pub diagnosis: Cell<Option<Diagnosis>>,
    /// The last services of the call that called any.
    pub services: Cell<ServiceLog>,
}

impl ThreadContext {
    /// The side that calls modules on this thread, once it is where it stays.
    pub fn bind_record(&self) {
        self.activation.belongs_to(self);
    }

    /// Has the thread's calls be these from now on, none being under way.
    pub fn make_current(&self) {
        let before = self.current.swap(self.activation.address(), Ordering::AcqRel);
        // SAFETY: it is another platform's of this thread, which takes it out of the word at its end.
        if let Some(before) = unsafe { before.as_ref() } {
            before.deactivate();
        }
        self.activation.activate();
        self.watch_slot.watch(self.activation.address());
    }
}

impl Drop for ThreadContext {
    fn drop(&mut self) {
        let activation = self.activation.address();
        self.watch_slot.forget(activation);
        if self.current.load(Ordering::Relaxed) == activation {
            self.current.store(null_mut(), Ordering::Relaxed);
        }
    }
}

/// Where the lines go that modules log.
pub(crate) enum LogSink {
    /// To the embedder.
    Log(Log),
    /// To the process that made this one.
    Parent(Channel),
}

impl LogSink {
    /// Passes on what a module logs.
    pub fn forward(&self, module: &Name, text: &[u8]) {
        match self {
            LogSink::Log(log) => log(format_args!("  [LOG] {module}: {}", Printable(text))),
            LogSink::Parent(channel) => sandbox::forward(channel, text),
        }
    }
}
