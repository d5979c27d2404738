//! The end of a run.

use x86_64::instructions::{hlt, port::Port};

/// The outcome of a run, which becomes QEMU's exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// Success: QEMU exits with 33.
    Passed,
    /// Failure of a test, or a faulted or refused module: QEMU exits with 35.
    Failed,
    /// A panic of the kernel itself: QEMU exits with 37.
    Panicked,
}

/// The port of QEMU's isa-debug-exit device, which exits with twice the written value plus one.
const DEBUG_EXIT: u16 = 0xf4;

/// Leaves the machine, or halts forever where it can't be left. Whoever has shown something has flushed the console.
pub fn exit_qemu(code: ExitCode) -> ! {
    let value: u32 = match code {
        ExitCode::Passed => 0x10,
        ExitCode::Failed => 0x11,
        ExitCode::Panicked => 0x12,
    };
    // SAFETY: the port belongs to the exit device; where there is none, nothing happens.
    unsafe { Port::new(DEBUG_EXIT).write(value) };
    halt()
}

/// Halts forever.
pub fn halt() -> ! {
    loop {
        hlt();
    }
}
