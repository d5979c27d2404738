//! The commands that talk to a running kernel.
//!
//! [`Client`] sends requests and waits for responses, `connection` is the transport, `push` sends blobs, `commands` has
//! the other commands, and `show` turns responses into text.

mod commands;
pub mod connection;
pub mod error;
mod push;
mod retry_policy;
mod run_command;
mod session;
pub mod show;

pub(crate) use commands::{activate, call, compare, load, log, ls, ps, save, shutdown, stats, unload};
pub(crate) use push::push;
pub use push::upload;
pub use session::Client;
pub(crate) use session::unexpected;
