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
use crate::{Exit, embedded, output};

/// Runs the command.
pub fn boot(options: &BootOptions) -> Result<Exit> {
    let files = InputFiles::read(&options.run)?;
    let machine = Machine {
        timeout: Duration::from_secs(options.timeout) + Duration::from_micros(options.run.events_us()),
        options: KernelOptions {
            repeat: options.run.repeat,
            batch: options.run.batch,
            events_us: options.run.events_us(),
            ..kernel_options(if options.record.is_some() { Task::Record } else { Task::Run }, &options.run.loading)
        },
        files,
        // A run saves nothing to the disk.
        data_disk_read_only: true,
        ..machine(&options.machine)?
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

/// Returns the machine that `options` describe, with the kernel of this build.
///
/// # Errors
/// When this build has no kernel, or the disk image doesn't exist.
pub fn machine(options: &MachineOptions) -> Result<Machine> {
    let kernel = embedded::kernel()?;
    if let Some(disk) = options.disk.as_ref().filter(|disk| !disk.is_file()) {
        bail!("{} is no file, expected a raw disk image; check `--disk`", disk.display());
    }
    Ok(Machine {
        machine: options.machine.clone(),
        cpu: options.cpu.clone(),
        accel: options.accel.clone(),
        icount: options.icount,
        memory_megabytes: options.memory,
        data_disk: options.disk.clone(),
        ..Machine::new(kernel)
    })
}

/// Returns the kernel's options for `task` by which it loads modules as `loading` says.
#[must_use]
pub fn kernel_options(task: Task, loading: &LoadingOptions) -> KernelOptions {
    let colour = output::shows_colour();
    KernelOptions { task, colour, timing: loading.timing, load: loading.load(), ..KernelOptions::default() }
}
