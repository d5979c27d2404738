//! The commands that talk to a running kernel.
//!
//! [`Client`] sends requests and waits for responses, `connection` is the transport, `push` sends blobs (by `upload`) and
//! `engine` the engines that they need, `call` calls, `trace` traces, `commands` has the other commands, and `show` turns
//! responses into text.

mod call;
mod commands;
mod connect;
pub mod connection;
mod engine;
pub mod error;
mod push;
mod retry_policy;
mod run_command;
mod session;
pub mod show;
mod trace;
mod upload;

pub(crate) use call::call;
pub(crate) use commands::{
    activate, compare, devices, interfaces, load, log, ls, ps, restart, save, shutdown, stats, unload,
};
pub(crate) use engine::provide_engine;
pub(crate) use push::push;
pub use session::Client;
pub(crate) use session::unexpected;
pub(crate) use trace::trace;
pub use upload::upload;
