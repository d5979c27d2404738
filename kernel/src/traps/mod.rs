//! Traps: a module's exception ends its call, any other one ends the kernel with a dump.

mod debug;
mod deferred;
mod descriptor_tables;
mod dump;
mod frame;
mod handler;
mod origin;
pub mod timer;

pub use deferred::defer_to_kernel_stack;
pub use dump::diagnose;
pub use frame::TrapFrame;
pub use handler::{SYSCALL, leave_module};

/// Loads the descriptor tables with a handler for every exception, enables `syscall`, and starts the timer; returns
/// whether there is a timer.
pub fn install() -> bool {
    descriptor_tables::load();
    crate::cpu::enable_syscall();
    let ticks = timer::start();
    // Interrupts are safe from here on: every vector has a stack of its own, and no handler waits for a lock.
    x86_64::instructions::interrupts::enable();
    ticks
}
