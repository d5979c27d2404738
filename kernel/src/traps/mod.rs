//! Exceptions: every one of them ends in a dump and, when a module is at
//! fault, in that module's end alone.

mod debug;
mod deferred;
mod descriptor_tables;
mod dump;
mod frame;
mod handler;
mod origin;
pub mod timer;

pub use deferred::defer_to_kernel_stack;
pub use descriptor_tables::{KERNEL_CODE, USER_CODE, USER_DATA};
pub use dump::diagnose;
pub use frame::TrapFrame;
pub use handler::{SYSCALL, leave_module};

/// Loads descriptor tables with a handler for every exception, lets `syscall`
/// arrive, and starts the timer; says whether there is one.
pub fn install() -> bool {
    descriptor_tables::load();
    crate::cpu::enable_syscall();
    let ticks = timer::start();
    // From here on: every vector has a stack of its own, and no handler waits for a lock.
    x86_64::instructions::interrupts::enable();
    ticks
}
