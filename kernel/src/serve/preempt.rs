//! Clients are heard while a module runs: the tick that interrupts it has the
//! kernel look at the port, on its own stack, before the module goes on.
//!
//! Only a module's own code is interrupted so, never the kernel's: nothing of the
//! kernel is half done then. What clients ask for in that moment may load, replace
//! and list modules; calls wait until the one under way has ended.

use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::{KernelServer, port};
use crate::gate::{self, Record};
use crate::traps::{TrapFrame, divert, timer};

/// The server that clients are heard by.
static SERVER: AtomicPtr<KernelServer> = AtomicPtr::new(core::ptr::null_mut());

/// Whether a client is being heard already.
static HEARING: AtomicBool = AtomicBool::new(false);

/// Milliseconds after which the server looks at the clock, though no client said anything.
const LOOK_EACH: u64 = 64;

/// Has clients heard while modules run, from now on.
pub fn install(server: &'static KernelServer) {
    SERVER.store(core::ptr::from_ref(server).cast_mut(), Ordering::Relaxed);
}

/// At a tick that interrupted a module: has the kernel hear a client first, if there is one to be heard.
pub fn on_tick(frame: &mut TrapFrame, record: Option<&Record>) {
    let Some(record) = record else { return };
    let due = port::has_bytes() || timer::milliseconds().is_multiple_of(LOOK_EACH);
    if !due || SERVER.load(Ordering::Relaxed).is_null() || HEARING.swap(true, Ordering::Relaxed) {
        return;
    }
    divert(frame, record, hear);
}

/// Hears what clients say.
extern "C" fn hear(_: &mut TrapFrame) {
    // SAFETY: `install` was given a reference for ever.
    if let Some(server) = unsafe { SERVER.load(Ordering::Relaxed).as_ref() } {
        gate::interlude(|| {
            port::take(|bytes| server.receive(bytes));
            server.look_at_clock();
        });
    }
    HEARING.store(false, Ordering::Relaxed);
}
