//! The run: the kernel's main function, and the run of all modules.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bareflow_loader::report::Style;
use bareflow_loader::{ModuleManager, Platform, line};
use bareflow_protocol::Message;
use bareflow_protocol::report::{Environment, Refusal};
use bareflow_suite::archive::Archive;
use bareflow_suite::{Plan, Source, run};
use spin::{Lazy, Mutex};

use crate::console::{self, KernelConsole};
use crate::disk::modules::{Modules, path_of};
use crate::memory::BootFacts;
use crate::options::Options;
use crate::platform::{KernelPlatform, kernel_domain};
use crate::power::{ExitCode, exit_qemu, halt};
use crate::serial::{COM2, Serial};
use crate::{boot, cpu, exhaust, inject, recorder, selfcheck, serve, soak, traps};

/// The archive of the blobs of `modules/`, as the build packed them.
pub static EMBEDDED: &[u8] = include_bytes!(env!("BAREFLOW_ARCHIVE_FILE"));

/// Runs what the command line asks for, and ends the machine.
pub fn main(boot: &'static BootFacts) -> ! {
    let ticks = traps::install();
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
    if !ticks {
        console::show(
            Style::Warning,
            format_args!("[WARN] no local timer that can be used: calls may take any time\n"),
        );
    }
    let passed = match options.campaign {
        Some(campaign) => inject::run(boot, &options, campaign),
        None if options.selfcheck => selfcheck::run(boot, &options),
        None if options.exhaust => exhaust::run(boot, &options),
        None if options.soak.is_some() => soak::run(boot, &options, options.soak.unwrap_or_default()),
        None if options.serve => serve::run(boot, &options, ticks),
        None => {
            let platform = if options.record { KernelPlatform::recording() } else { KernelPlatform::new() };
            run_modules(platform, boot, &options)
        }
    };
    if options.halt {
        halt();
    }
    console::flush();
    exit_qemu(if passed { ExitCode::Passed } else { ExitCode::Failed })
}

/// Runs the embedded modules and those of the boot archive, and sends the report to the host.
fn run_modules(platform: KernelPlatform, found: &'static BootFacts, options: &Options) -> bool {
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
        started: Some(boot::entered()),
    };
    let mut report = run(&manager, &plan, console);
    refused.extend(unreadable);
    report.passed &= refused.is_empty();
    report.refused.splice(0..0, refused);
    let passed = report.passed;
    if options.record {
        recorder::send(&manager, tell_host);
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

/// The port to the host, opened with the first message: setting it up again would empty its buffers.
static HOST: Lazy<Mutex<Serial>> = Lazy::new(|| Mutex::new(Serial::open(COM2)));

/// Sends a message to the host.
pub fn tell_host(message: &Message) {
    let mut host = HOST.lock();
    host.send(&message.to_frame());
    host.flush();
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    console::show(Style::Error, format_args!("[PANIC] {info}\n"));
    console::flush();
    exit_qemu(ExitCode::Panicked)
}
