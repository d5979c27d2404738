//! The outcomes of a call, as a platform reports them.

use bareflow_abi::interface::Reply;

use crate::fault::Fault;

/// The outcome of a call that returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallOutcome {
    /// The value that the module returned.
    pub result: i32,
    /// The number of output bytes that the module says it wrote: never more than there was room for.
    pub output_length: usize,
}

/// A platform's report of a call that returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedCall {
    /// The outcome of the call.
    pub outcome: CallOutcome,
    /// The cycles between the clock readings right before and right after the call.
    pub cycles: u64,
}

/// A platform's report of a method's call that returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedReply {
    /// The reply.
    pub reply: Reply,
    /// The cycles, as in [`TimedCall::cycles`].
    pub cycles: u64,
}

/// A platform's report of a call without input and output that returned. It fits into registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastReturn {
    /// The value that the module returned.
    pub result: i32,
    /// The cycles, as in [`TimedCall::cycles`].
    pub cycles: u64,
}

/// A platform's note of a call that is not on the fast path, or left it: see [`Platform::call_fast`](super::Platform::call_fast).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastExit {
    /// The platform's own code for the reason.
    pub code: u64,
    /// The values that are meaningful if the module returned.
    pub returned: FastReturn,
}

impl FastExit {
    /// The note of a call that was not made; by default [`Platform::finish_fast`](super::Platform::finish_fast) makes it.
    pub const NOT_CALLED: FastExit = FastExit { code: u64::MAX, returned: FastReturn { result: 0, cycles: 0 } };
}

/// The reason for which a call did not return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// The module faulted.
    Fault(Fault),
    /// There was no memory for the call's input and output in the module's domain.
    NoMemory,
}

impl From<Fault> for CallFailure {
    fn from(fault: Fault) -> CallFailure {
        CallFailure::Fault(fault)
    }
}
