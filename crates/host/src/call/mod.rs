//! A call and its state: the trampoline, the activation of a call, the thread that makes it, and the stack it is on.

mod activation;
pub(crate) mod code;
mod stack;
pub(crate) mod trampoline;

pub(crate) use activation::{Activation, LogSink, ThreadContext};
pub(crate) use stack::Stack;
