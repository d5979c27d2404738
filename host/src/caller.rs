//! The side that calls modules: a thread of this process, or the process in
//! which a module of the user domain runs.

use std::cell::Cell;

use bareflow_loader::diagnosis::ServiceLog;
use bareflow_loader::{Diagnosis, Name, Printable};

use crate::Log;
use crate::channel::Channel;
use crate::confined;
use crate::gate::Thread;
use crate::stack::Stack;
use crate::watchdog::Watched;

/// All that calls of one thread share.
pub(crate) struct Caller {
    /// What the thread keeps for the gate.
    pub thread: &'static Thread,
    pub stack: Stack,
    /// Where the watchdog looks.
    pub watched: &'static Watched,
    pub lines: Lines,
    /// What is known of the last fault.
    pub diagnosis: Cell<Option<Diagnosis>>,
    /// The last services of the call that called any.
    pub services: Cell<ServiceLog>,
}

/// Where the lines go that modules log.
pub(crate) enum Lines {
    /// To the embedder.
    Log(Log),
    /// To the process that made this one.
    Parent(Channel),
}

impl Lines {
    /// Passes on what a module logs.
    pub fn pass_on(&self, module: &Name, text: &[u8]) {
        match self {
            Lines::Log(log) => log(&format!("  [LOG] {module}: {}", Printable(text))),
            Lines::Parent(channel) => confined::pass_on(channel, text),
        }
    }
}
