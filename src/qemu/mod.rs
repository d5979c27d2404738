//! The runner that boots kernels in QEMU.
//!
//! The console is COM1, the host's channel is COM2 or a virtio console, and the kernel ends the run by a write to
//! isa-debug-exit.
//!
//! `arguments` is QEMU's command line, `boot_archive` what the kernel gets with it, `process` starts QEMU, `guard` kills
//! it if this process is killed, `streams` reads its output, `run` boots a kernel and waits for its end (`outcome`), and
//! `running` keeps one running while the host talks to it.

mod arguments;
mod boot_archive;
mod guard;
mod outcome;
mod process;
mod run;
mod running;
mod streams;

use std::path::PathBuf;
use std::time::Duration;

use bareflow_protocol::KernelOptions;

use crate::input_files::InputFiles;
pub use crate::options::Network;
pub use outcome::{ExitReason, RunOutcome};
pub use running::{KillHandle, Running};

/// The name of QEMU's program.
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
    /// The machine's memory, in MiB.
    pub memory_megabytes: u32,
    /// Whether a clock tick is an instruction.
    pub icount: bool,
    /// The time limit of a run.
    pub timeout: Duration,
    /// The time limit for the next message, for kernels that send messages all the time.
    pub patience: Option<Duration>,
    /// The kernel's command line. All but what an operator may type there is in `options`.
    pub command_line: String,
    /// The kernel's options, all but what follows from this machine.
    pub options: KernelOptions,
    /// Whether the host's channel is a virtio console, which transfers pages at a time, instead of COM2.
    pub virtio_channel: bool,
    /// The blobs and the input in the boot archive.
    pub files: InputFiles,
    /// Whether the machine has a text screen, which the firmware takes a while to set up.
    pub screen: bool,
    /// The socket on which QEMU listens for QMP, if any.
    pub qmp: Option<PathBuf>,
    /// A disk to boot from instead of the kernel's ELF file.
    pub disk: Option<PathBuf>,
    /// A disk with files for the kernel.
    pub data_disk: Option<PathBuf>,
    /// The network that a card is attached to, if there is one.
    pub network: Option<Network>,
    /// Whether the devices are behind a virtio IOMMU.
    pub iommu: bool,
    /// Further devices, in QEMU's words.
    pub devices: Vec<String>,
    /// Whether the data disk is read-only.
    pub data_disk_read_only: bool,
    /// Further words of QEMU's command line.
    pub extra_arguments: Vec<String>,
}

impl Machine {
    /// Returns the default machine: q35, with every processor feature that QEMU has, and no hardware acceleration.
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
            options: KernelOptions::default(),
            virtio_channel: false,
            files: InputFiles::default(),
            screen: false,
            qmp: None,
            disk: None,
            data_disk: None,
            network: None,
            iommu: false,
            devices: Vec::new(),
            data_disk_read_only: false,
            extra_arguments: Vec::new(),
        }
    }
}
