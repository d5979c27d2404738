//! A call and its state: the trampoline, the activation of a call, the thread that makes it, and the stack it is on.

mod activation;
mod code;
mod stack;
mod thread_context;
pub(crate) mod trampoline;

pub(crate) use activation::{Activation, OptionalCallees};
pub(crate) use stack::{MAX_SIZE, Stack};
pub(crate) use thread_context::{LogSink, ThreadContext};
