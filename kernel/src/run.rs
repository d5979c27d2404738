//! The run: the kernel's main function, and the run of all modules.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bareflow_containment::{Contained, cpu};
use bareflow_loader::console::Style;
use bareflow_loader::{ModuleManager, Platform, line};
use bareflow_protocol::Message;
use bareflow_protocol::report::{Environment, Refusal};
use bareflow_suite::archive::Archive;
use bareflow_suite::{Plan, Source, run};

use crate::console::{self, KernelConsole};
use crate::disk::modules::{Modules, path_of};
use crate::embedded::EMBEDDED;
use crate::memory::BootFacts;
use crate::options::{Options, kernel_domain};
use crate::power::{ExitCode, exit_qemu, halt};
use crate::report_port::tell_host;
#[cfg(feature = "rigs")]
use crate::rigs;
use crate::{containment, serve};

/// Runs what the command line asks for, and ends the machine.
pub fn main(boot: &'static BootFacts) -> ! {
    let platform = containment::init();
    let options = Options::read(boot.command_line);
    if !boot.graphics {
        console::open_screen();
    }
    if options.colour {
        console::use_colour();
    }
    for warning in &options.warnings {
        console::show(Style::Warning, format_args!("[WARN] {warning}\n"));
    }
    if !platform.has_ticks() {
        console::show(
            Style::Warning,
            format_args!("[WARN] no local timer that can be used: calls may take any time\n"),
        );
    }
    let passed = run_mode(platform, boot, &options);
    if options.halt {
        halt();
    }
    console::flush();
    exit_qemu(if passed { ExitCode::Passed } else { ExitCode::Failed })
}

/// Does what the command line asks for, and returns whether all went well.
fn run_mode(platform: Contained, boot: &'static BootFacts, options: &Options) -> bool {
    #[cfg(feature = "rigs")]
    let platform = match rigs::run(platform, boot, options) {
        Ok(passed) => return passed,
        Err(platform) => platform,
    };
    if options.serve { serve::run(platform, boot, options) } else { run_modules(platform, boot, options) }
}

/// Runs the embedded modules and those of the boot archive, and sends the report to the host.
fn run_modules(platform: Contained, found: &'static BootFacts, options: &Options) -> bool {
    let console = &mut KernelConsole;
    let mut refused = Vec::new();
    let mut read = |source: &str, bytes| {
        Archive::read(bytes).unwrap_or_else(|error| {
            line!(console, Error, "[ERROR] {source}: {error}");
            refused.push(Refusal::new(source.to_string(), error));
            Archive::default()
        })
    };
    let embedded = read("embedded modules", EMBEDDED);
    let archive = read("boot archive", found.archive);
    let manager = ModuleManager::with_kernel_domain(platform, options.timing, kernel_domain());
    let (files, unreadable) = read_disk(manager.platform(), console);
    let on_disk = files.iter().map(|(label, bytes)| Source { label: label.clone(), bytes });
    let plan = Plan {
        embedded: embedded.blobs,
        files: archive.blobs.into_iter().chain(on_disk).collect(),
        input: archive.input,
        repeat: options.repeat,
        load: options.load,
        other_domain: options.other_domain.clone(),
        environment: Environment {
            place: "kernel".to_string(),
            clock: if options.icount { "icount" } else { "tsc" }.to_string(),
            timing: options.timing.name().to_string(),
            call_overhead_cycles: 0,
            cpu: format!("{} (x86-64-v{})", cpu::name(), cpu::level()),
            domains: Vec::new(),
            first_call_cycles: None,
            clock_step_cycles: 0,
            clock_invariant: false,
            clock_hertz: None,
            load_cycles: None,
        },
        batch: options.batch,
        started: Some(found.entered),
    };
    let mut report = run(&manager, &plan, console);
    refused.extend(unreadable);
    report.passed &= refused.is_empty();
    report.refused.splice(0..0, refused);
    let passed = report.passed;
    #[cfg(feature = "rigs")]
    if options.record {
        rigs::recorder::send(&manager, tell_host);
    }
    tell_host(&Message::Report(report));
    passed
}

/// Returns the modules on the disk, in the order of their names, and the files that are not modules.
fn read_disk(platform: &impl Platform, console: &mut KernelConsole) -> (Vec<(String, Vec<u8>)>, Vec<Refusal>) {
    let (mut disk, mut files, mut refused) = (Modules::find(), Vec::new(), Vec::new());
    let mut refuse = |source: String, error: String| {
        line!(console, Error, "[ERROR] {source}: {error}");
        refused.push(Refusal::new(source, error));
    };
    match disk.select(platform) {
        Ok(selection) => {
            selection.refused.into_iter().for_each(|refused| refuse(refused.file, refused.error));
            for chosen in selection.chosen {
                match path_of(&chosen.file) {
                    Ok(path) => match disk.read(&path) {
                        Ok(bytes) => files.push((path, bytes)),
                        Err(error) => refuse(path, error.into_owned()),
                    },
                    Err(error) => refuse(chosen.module, error.to_string()),
                }
            }
        }
        Err(error) => refuse("disk".to_string(), error.into_owned()),
    }
    (files, refused)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    console::show(Style::Error, format_args!("[PANIC] {info}\n"));
    console::flush();
    exit_qemu(ExitCode::Panicked)
}
