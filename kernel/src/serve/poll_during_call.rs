//! The kernel's work that does not wait for the end of the module that runs: it polls clients, and runs events.
//!
//! The clients' requests may load, replace and list modules then; calls wait until the running one has ended, unless that is
//! an engine's.

use core::sync::atomic::{AtomicPtr, Ordering};

use bareflow_containment::{may_run_modules, timer};

use super::{KernelServer, channel_queue};
use crate::devices::interrupts;

/// The server whose clients are polled.
static SERVER: AtomicPtr<KernelServer> = AtomicPtr::new(core::ptr::null_mut());

/// The milliseconds after which the server checks the clock, even if no client sent anything.
const POLL_INTERVAL_MS: u64 = 64;

/// Enables polling of clients while modules run.
pub fn install(server: &'static KernelServer) {
    SERVER.store(core::ptr::from_ref(server).cast_mut(), Ordering::Relaxed);
}

/// Returns whether there is work at this tick.
pub fn is_due() -> bool {
    // SAFETY: `install` was given a reference with a static lifetime.
    let Some(server) = (unsafe { SERVER.load(Ordering::Relaxed).as_ref() }) else { return false };
    channel_queue::has_bytes()
        || timer::milliseconds().is_multiple_of(POLL_INTERVAL_MS)
        || server.manager().has_due_events()
        || interrupts::are_pending()
        || has_calls(server)
}

/// Receives the clients' bytes, checks the clock, and runs events.
pub fn run_deferred_work() {
    // SAFETY: `install` was given a reference with a static lifetime.
    if let Some(server) = unsafe { SERVER.load(Ordering::Relaxed).as_ref() } {
        channel_queue::take(|bytes| server.receive(bytes));
        server.look_at_clock();
        // The innermost work is for clients, who are heard during events, too.
        if may_run_modules() {
            server.run_events(true);
            #[cfg(feature = "portable")]
            server.call_meanwhile();
        }
    }
}

/// Returns whether clients wait for calls that are made now.
fn has_calls(server: &KernelServer) -> bool {
    #[cfg(feature = "portable")]
    return server.has_calls_meanwhile();
    #[cfg(not(feature = "portable"))]
    {
        let _ = server;
        false
    }
}
