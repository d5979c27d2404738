//! The `boot` command: a run in a kernel under QEMU.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bareflow_protocol::options::Task;
use bareflow_protocol::recording::Recording;
use bareflow_protocol::{KernelOptions, Message};

use crate::input_files::InputFiles;
use crate::options::{BootOptions, LoadingOptions, MachineOptions};
use crate::qemu::Machine;
use crate::report::finish;
use crate::{Exit, disk, embedded, engines, output};

/// Runs the command.
pub fn boot(options: &BootOptions) -> Result<Exit> {
    let files = engines::go_along(InputFiles::read(&options.run)?, &options.run.loading.portable)?;
    ensure!(
        options.record.is_none() || !files.has_portable(),
        "--record: there is a portable module among the files, expected native ones: a recording holds no code that was \
         compiled in the kernel; leave it out"
    );
    let machine = machine(&options.machine, &files)?;
    let timeout = options.timeout.unwrap_or(if machine.has_engine { ENGINE_TIMEOUT_S } else { TIMEOUT_S });
    let machine = Machine {
        timeout: Duration::from_secs(timeout) + Duration::from_micros(options.run.events_us()),
        options: KernelOptions {
            repeat: options.run.repeat,
            batch: options.run.batch,
            events_us: options.run.events_us(),
            ..kernel_options(if options.record.is_some() { Task::Record } else { Task::Run }, &options.run.loading)
        },
        files,
        // A run saves nothing to the disk.
        data_disk_read_only: true,
        ..machine.machine
    };
    let mut outcome = machine.run(output::show_bytes)?;
    if let Some(path) = &options.record {
        write_recording(path, std::mem::take(&mut outcome.messages))?;
    }
    let mut report = outcome.into_report()?;
    finish(&mut report, machine.files.unreadable, &options.run)
}

/// Writes the recording that the kernel sent to the file `path`.
fn write_recording(path: &Path, messages: Vec<Message>) -> Result<()> {
    let (mut recording, mut whole) = (Recording::default(), false);
    for message in messages {
        match message {
            Message::Recorded(call) => recording.calls.push(call),
            Message::RecordedModules(modules, cut) => {
                (recording.modules, recording.cut, whole) = (modules, cut, true);
            }
            _ => {}
        }
    }
    ensure!(whole, "the kernel sent no whole recording on COM2, expected one; see its console above");
    let bytes =
        recording.to_bytes().context("the recording is too long for a file; record fewer calls, or less input")?;
    std::fs::write(path, bytes)
        .map_err(|error| anyhow!("can't write the recording {}: {error}; name another file", path.display()))
}

/// The seconds after which a kernel is given up, without an engine and with one, which takes its time in an emulator.
const TIMEOUT_S: u64 = 60;
const ENGINE_TIMEOUT_S: u64 = 600;

/// A machine, and whether its kernel finds an engine.
pub struct ChosenMachine {
    /// The machine.
    pub machine: Machine,
    /// Whether there is an engine among its files or on its disk.
    pub has_engine: bool,
}

/// Returns the machine that `options` describe, with the kernel of this build, for these files. It has more memory if
/// there is an engine in it.
///
/// # Errors
/// When this build has no kernel, or the disk image doesn't exist.
pub fn machine(options: &MachineOptions, files: &InputFiles) -> Result<ChosenMachine> {
    let kernel = embedded::kernel()?;
    if let Some(disk) = options.disk.as_ref().filter(|disk| !disk.is_file()) {
        bail!("{} is no file, expected a raw disk image; check `--disk`", disk.display());
    }
    let has_engine = files.has_engine() || options.disk.as_deref().is_some_and(disk::has_engine);
    let machine = Machine::new(kernel);
    let usual = if has_engine { engines::MEMORY_MEGABYTES } else { machine.memory_megabytes };
    let machine = Machine {
        machine: options.machine.clone(),
        cpu: options.cpu.clone(),
        accel: options.accel.clone(),
        icount: options.icount,
        memory_megabytes: options.memory.unwrap_or(usual),
        data_disk: options.disk.clone(),
        network: options.net.clone(),
        iommu: options.iommu,
        devices: options.device.clone(),
        ..machine
    };
    Ok(ChosenMachine { machine, has_engine })
}

/// Returns the kernel's options for `task` by which it loads modules as `loading` says.
#[must_use]
pub fn kernel_options(task: Task, loading: &LoadingOptions) -> KernelOptions {
    loading.portable.warn();
    let colour = output::shows_colour();
    let (load, portable) = (loading.load(), loading.portable.portable());
    KernelOptions { task, colour, timing: loading.timing, load, portable, ..KernelOptions::default() }
}
