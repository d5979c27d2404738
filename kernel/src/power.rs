//! The end of a run.

use x86_64::instructions::{hlt, port::Port};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// All went well: QEMU exits with 33.
    Passed,
    /// A test failed, a module faulted or was refused: QEMU exits with 35.
    Failed,
    /// The kernel itself went wrong: QEMU exits with 37.
    Panicked,
}

/// Port of QEMU's isa-debug-exit device. It exits with twice the value plus one.
const DEBUG_EXIT: u16 = 0xf4;

/// Leaves the machine, or halts for ever where it can't be left.
pub fn exit_qemu(code: ExitCode) -> ! {
    let value: u32 = match code {
        ExitCode::Passed => 0x10,
        ExitCode::Failed => 0x11,
        ExitCode::Panicked => 0x12,
    };
    crate::console::flush();
    // SAFETY: the port belongs to the exit device; where there is none, nothing happens.
    unsafe { Port::new(DEBUG_EXIT).write(value) };
    halt()
}

/// Halts for ever.
pub fn halt() -> ! {
    loop {
        hlt();
    }
}
