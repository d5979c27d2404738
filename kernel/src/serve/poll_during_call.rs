//! Polling of clients while a module runs: the kernel's work that does not wait for the module's end. Their requests
//! may load, replace and list modules then; calls wait until the running one has ended.

use core::sync::atomic::{AtomicPtr, Ordering};

use bareflow_containment::timer;

use super::{KernelServer, channel_queue};

/// The server whose clients are polled.
static SERVER: AtomicPtr<KernelServer> = AtomicPtr::new(core::ptr::null_mut());

/// The milliseconds after which the server checks the clock, even if no client sent anything.
const POLL_INTERVAL_MS: u64 = 64;

/// Enables polling of clients while modules run.
pub fn install(server: &'static KernelServer) {
    SERVER.store(core::ptr::from_ref(server).cast_mut(), Ordering::Relaxed);
}

/// Returns whether clients are to be polled at this tick.
pub fn is_due() -> bool {
    let due = channel_queue::has_bytes() || timer::milliseconds().is_multiple_of(POLL_INTERVAL_MS);
    due && !SERVER.load(Ordering::Relaxed).is_null()
}

/// Receives the clients' bytes and checks the clock.
pub fn poll_clients() {
    // SAFETY: `install` was given a reference with a static lifetime.
    if let Some(server) = unsafe { SERVER.load(Ordering::Relaxed).as_ref() } {
        channel_queue::take(|bytes| server.receive(bytes));
        server.look_at_clock();
    }
}
