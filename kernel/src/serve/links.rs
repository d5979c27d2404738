//! The clients that come by modules, such as one with TCP connections.

use bareflow_channel::Channel;
use bareflow_containment::{Contained, timer};
use bareflow_loader::{ModuleManager, ProvideError};
use bareflow_protocol::options::Token;
use bareflow_server::{Access, Links};
use spin::Mutex;

use super::KernelServer;

/// Their links.
pub static LINKS: Mutex<Links> = Mutex::new(Links::new());

/// The time for which the last answers are waited for, in milliseconds, and the most rounds, as the time stands still
/// without ticks.
const LAST_MS: u64 = 500;
const LAST_ROUNDS: u32 = 1_000_000;

/// Takes clients that have a token; none if there is none.
pub fn take(token: Option<Token>) {
    LINKS.lock().set_token(token);
}

/// Provides the interface `channel` to modules.
pub fn provide(manager: &ModuleManager<Contained>) -> Result<(), ProvideError> {
    let access = |caller| Access { links: &LINKS, caller, now_ms: timer::milliseconds() };
    manager.provide_to_each::<dyn Channel, _, _>("kernel", access)
}

/// Lets modules send the last answers.
pub fn flush(server: &KernelServer) {
    let end = timer::milliseconds() + LAST_MS;
    for _ in 0..LAST_ROUNDS {
        // It is locked here only if a call of a module panicked.
        if LINKS.try_lock().is_none_or(|links| links.are_quiet()) || timer::milliseconds() >= end {
            return;
        }
        server.serve_links();
        server.run_events(false);
    }
}
