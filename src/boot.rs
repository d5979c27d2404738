//! `boot`: the run in a kernel, in QEMU.

use std::io::Write;

use bareflow_builder::kernel::archive;
use bareflow_loader::{Budget, LoadOptions};
use bareflow_suite::archive::{INPUT, LABELS};

use crate::files::{Files, finish};
use crate::options::{BootOptions, Timing};
use crate::qemu::Machine;
use crate::{Ended, Problem, embedded, output};

/// Carries the command out.
///
/// # Errors
/// What keeps it from being carried out.
pub fn boot(options: &BootOptions) -> Result<Ended, Problem> {
    if embedded::KERNEL.is_empty() {
        return Err("this build has no kernel: no core library for x86_64-unknown-none was there; \
                    run `make setup`, then build again"
            .into());
    }
    let files = Files::read(&options.run)?;
    let machine = Machine {
        machine: options.machine.clone(),
        cpu: options.cpu.clone(),
        accel: options.accel.clone(),
        icount: options.icount,
        timeout: std::time::Duration::from_secs(options.timeout),
        command_line: command_line(options),
        archive: boot_archive(&files),
        ..Machine::new(embedded::KERNEL)
    };
    let outcome = machine.run(|text| {
        // Whoever reads may stop reading; the run goes on.
        let _ = std::io::stdout().write_all(text).and_then(|()| std::io::stdout().flush());
    })?;
    let mut report = outcome.into_report()?;
    finish(&mut report, files, &options.run)
}

fn command_line(options: &BootOptions) -> String {
    let timing = match options.run.timing {
        Timing::Precise => "precise",
        Timing::Fast => "fast",
    };
    let clock = if options.icount { "icount" } else { "tsc" };
    let colour = u8::from(output::shows_colour());
    let LoadOptions { domain, limits, on_fault } = options.run.load();
    let Budget { time_us, stack, heap } = limits;
    format!(
        "timing={timing} repeat={} clock={clock} color={colour} domain={} \
         budget=time={time_us}us,stack={stack},heap={heap} onfault={on_fault}",
        options.run.repeat,
        domain.name()
    )
}

/// The archive the kernel gets beside its own.
#[must_use]
pub fn boot_archive(files: &Files) -> Vec<u8> {
    if files.blobs.is_empty() && files.input.is_empty() {
        return Vec::new();
    }
    let labels: String = files.blobs.iter().map(|(label, _)| format!("{label}\n")).collect();
    let names: Vec<_> = (0..files.blobs.len()).map(|index| format!("{index}.mod")).collect();
    let blobs = names.iter().zip(&files.blobs).map(|(name, (_, bytes))| (name.as_str(), bytes.as_slice()));
    archive([(LABELS, labels.as_bytes()), (INPUT, files.input.as_slice())].into_iter().chain(blobs))
}
