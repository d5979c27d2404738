//! The one runner that boots kernels in QEMU. The console is COM1, the host's
//! channel COM2 or a virtio console, the end a write to isa-debug-exit.
//!
//! `arguments` says how QEMU is called, `firmware` by which it starts, `process` starts it, `guard` ends it should
//! this process be killed, `streams` reads what it writes, `run` boots a kernel and waits for its end (`outcome`),
//! `running` keeps one that is talked to meanwhile.

mod arguments;
mod firmware;
mod guard;
mod outcome;
mod process;
mod run;
mod running;
mod streams;

use std::path::PathBuf;
use std::time::Duration;

pub use outcome::{ExitReason, RunOutcome};
pub use running::{KillHandle, Running};

/// The program.
const QEMU: &str = "qemu-system-x86_64";

/// A machine to boot a kernel in.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The kernel's ELF file.
    pub kernel: Vec<u8>,
    /// QEMU's machine: q35, pc or microvm.
    pub machine: String,
    /// QEMU's processor.
    pub cpu: String,
    /// QEMU's accelerator.
    pub accel: String,
    /// Its memory, in units of 1024 KiB.
    pub memory_megabytes: u32,
    /// Whether a clock tick is an instruction.
    pub icount: bool,
    /// How long to wait for the end.
    pub timeout: Duration,
    /// How long to wait for the next message, where the kernel sends them all along.
    pub patience: Option<Duration>,
    /// The kernel's command line.
    pub command_line: String,
    /// Whether the host's channel is a virtio console, which takes pages at a time, instead of COM2.
    pub virtio_channel: bool,
    /// The boot archive; none when empty.
    pub archive: Vec<u8>,
    /// Whether it has a text screen, which takes the firmware a while to set up.
    pub screen: bool,
    /// Where QEMU listens for QMP, if anywhere.
    pub qmp: Option<PathBuf>,
    /// A disk to boot from instead of the kernel's ELF file.
    pub disk: Option<PathBuf>,
    /// A disk that the kernel finds its files on.
    pub data_disk: Option<PathBuf>,
    /// Whether that disk may not be written to.
    pub data_disk_read_only: bool,
}

impl Machine {
    /// The usual machine: q35, every processor feature QEMU has, no hardware acceleration.
    #[must_use]
    pub fn new(kernel: &[u8]) -> Machine {
        Machine {
            kernel: kernel.to_vec(),
            machine: "q35".to_owned(),
            cpu: "max".to_owned(),
            accel: "tcg".to_owned(),
            memory_megabytes: 128,
            icount: false,
            timeout: Duration::from_secs(60),
            patience: None,
            command_line: String::new(),
            virtio_channel: false,
            archive: Vec::new(),
            screen: false,
            qmp: None,
            disk: None,
            data_disk: None,
            data_disk_read_only: false,
        }
    }
}
