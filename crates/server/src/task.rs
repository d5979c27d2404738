//! The work that requests leave behind.

use alloc::vec::Vec;

use allocator_api2::boxed::Box;
use bareflow_loader::{ModuleId, Platform};
use bareflow_protocol::Response;
use bareflow_protocol::control::Refusal;

use crate::call::Calls;
use crate::events::Unloading;
use crate::gate::RunningComparison;
use crate::requested_options::DeferredPush;

/// The result of a request: an answer or a job, or a refusal.
pub(crate) type Handled<P> = Result<Next<P>, Refusal>;

/// The next step for a request.
#[expect(clippy::large_enum_variant, reason = "a box would be memory that may not be there")]
pub(crate) enum Next<P: Platform> {
    /// Send this answer.
    Response(Response),
    /// Carry out this job.
    Task(Task<P>),
}

impl<P: Platform> From<Response> for Next<P> {
    fn from(answer: Response) -> Next<P> {
        Next::Response(answer)
    }
}

/// The work of a job.
pub(crate) enum Task<P: Platform> {
    /// Call a module.
    Call(Box<Calls>),
    /// Unload a module, once it has ended and its running calls have.
    Unload(Unloading),
    /// Restart a module, once its running calls have ended.
    Restart(ModuleId),
    /// Load a module, once the engine that it needs is free, or the running calls of the one that it replaces have ended.
    Push(Box<DeferredPush<P>>),
    /// Compare two modules or functions.
    Compare(Box<RunningComparison<P>>),
    /// Handle a request that could not be handled when it arrived: its payload.
    Later(Vec<u8>),
    /// Unload the copies of an abandoned comparison, which could not be done when it was abandoned.
    Drop(Box<RunningComparison<P>>),
}

impl<P: Platform> Task<P> {
    /// Returns the number of input bytes that a client has sent.
    pub fn input_bytes(&self) -> usize {
        match self {
            Task::Call(calls) => calls.input_bytes(),
            Task::Compare(comparing) => comparing.input_bytes(),
            Task::Later(payload) => payload.len(),
            Task::Unload(_) | Task::Restart(_) | Task::Push(_) | Task::Drop(_) => 0,
        }
    }

    /// Returns the number of bytes of a file that waits to be loaded.
    pub fn file_bytes(&self) -> usize {
        match self {
            Task::Push(push) => push.file.size(),
            Task::Call(_) | Task::Unload(_) | Task::Restart(_) | Task::Compare(_) | Task::Later(_) | Task::Drop(_) => 0,
        }
    }
}
