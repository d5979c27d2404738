//! The run: the kernel's main function, and the run of all modules.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bareflow_containment::{Contained, abandon_provider, cpu};
#[cfg(feature = "portable")]
use bareflow_loader::Domain;
#[cfg(feature = "portable")]
use bareflow_loader::portable::Sandbox;
use bareflow_loader::{Allowed, KernelDomain, ModuleManager, Name, Platform};
#[cfg(feature = "rigs")]
use bareflow_protocol::options::Rig;
use bareflow_protocol::options::Task;
use bareflow_protocol::report::Refusal;
use bareflow_protocol::{KernelOptions, Message};
use bareflow_suite::archive::Archive;
use bareflow_suite::console::Style;
use bareflow_suite::fallible::ErrorText;
use bareflow_suite::line;
use bareflow_suite::{Plan, Source, run};
use x86_64::instructions::hlt;
use x86_64::registers::control::Cr8;

use crate::console::{self, KernelConsole};
use crate::containment::Manager;
use crate::devices::firmware;
use crate::disk::modules;
use crate::memory::BootFacts;
use crate::power::{ExitCode, exit_qemu, halt};
#[cfg(feature = "rigs")]
use crate::rigs;
use crate::serial::tell_host;
use crate::{containment, embedded, interfaces, serve};

/// Does the work that the boot archive's options ask for, and ends the machine.
pub fn main(boot: &'static BootFacts) -> ! {
    let platform = containment::init();
    firmware::keep_pointer(boot.firmware_tables);
    if !boot.graphics {
        console::open_screen();
    }
    let mut archive = Archive::read(boot.archive).unwrap_or_else(|error| {
        console::show(Style::Error, format_args!("[ERROR] boot archive: {error}\n"));
        leave(false)
    });
    if archive.options.colour {
        console::use_colour();
    }
    for word in boot.command_line.split_ascii_whitespace() {
        match word.strip_prefix("allow=").map(Allowed::parse) {
            // Also for what the archive itself says of its loads.
            Some(Ok(allowed)) => archive.options.load.allowed = allowed,
            _ => console::show(
                Style::Warning,
                format_args!(
                    "[WARN] command line: \"{word}\", expected allow=all, allow=none or allow=log,clock,call,heap; it is passed over\n"
                ),
            ),
        }
    }
    if !platform.has_ticks() {
        console::show(
            Style::Warning,
            format_args!("[WARN] no local timer that can be used: calls may take any time\n"),
        );
    }
    let options = archive.options;
    let passed = work(platform, boot, &archive, &options);
    if options.halt {
        halt();
    }
    leave(passed)
}

/// Leaves the machine, with a code for whether all went well.
fn leave(passed: bool) -> ! {
    console::flush();
    exit_qemu(if passed { ExitCode::Passed } else { ExitCode::Failed })
}

/// Does the work that `options` ask for, and returns whether all went well.
fn work(platform: Contained, boot: &BootFacts, archive: &Archive<'static>, options: &KernelOptions) -> bool {
    #[cfg(feature = "rigs")]
    if options.task == Task::Record {
        rigs::recorder::start();
    }
    // SAFETY: the operator, who chooses the domain of each load, vouches for the blobs that are loaded into this one.
    let trusted = unsafe { KernelDomain::trust_all_blobs() };
    let manager = ModuleManager::with_kernel_domain(platform, options.timing, trusted);
    #[cfg(feature = "portable")]
    manager.permit_sandbox(sandbox(archive));
    manager.provide_on_first_import(interfaces::provide);
    match options.task {
        Task::Run => run_modules(&manager, boot, archive, options),
        #[cfg(feature = "rigs")]
        Task::Record => run_modules(&manager, boot, archive, options),
        Task::Serve => serve::run(manager, archive, options),
        #[cfg(feature = "rigs")]
        Task::Rig(rig) => {
            rigs::run(&manager, archive, options, rig)
                && (rig != Rig::Meter || run_modules(&manager, boot, archive, options))
        }
        #[cfg(not(feature = "rigs"))]
        Task::Record | Task::Rig(_) => {
            line!(&KernelConsole, Error, "[ERROR] no rigs in this kernel; build it with the feature `rigs`");
            false
        }
    }
}

/// Returns the sandbox for what the engines in the boot archive compile.
#[cfg(feature = "portable")]
fn sandbox(archive: &Archive<'_>) -> Sandbox {
    let options = &archive.options;
    // The digests of engines are for nothing where nobody asks for the sandbox.
    let may_be_asked_for = options.task == Task::Serve || options.load.domain == Domain::Sandbox;
    let trusted = archive.engines.iter().filter(|_| may_be_asked_for).copied();
    // SAFETY: the operator, who put these engines into the archive as such, vouches for them; those among other files, of clients
    // and on disks are none of them.
    unsafe { Sandbox::trust(trusted) }.with_guard(options.portable.guard)
}

/// Runs the embedded modules and those of the boot archive, and sends the report to the host.
fn run_modules(manager: &Manager, boot: &BootFacts, archive: &Archive<'_>, options: &KernelOptions) -> bool {
    let console = &KernelConsole;
    let (files, refused) = read_disk(manager.platform(), console);
    let on_disk = files.iter().map(|(label, bytes)| Source { label: label.clone(), bytes });
    let plan = Plan {
        embedded: embedded::modules(),
        files: archive.blobs.iter().cloned().chain(on_disk).collect(),
        input: archive.input,
        repeat: options.repeat,
        load: archive.load_defaults(),
        parameters: archive.parameters,
        place: "kernel",
        clock: if options.icount { "icount" } else { "tsc" },
        cpu: format!("{} (x86-64-v{})", cpu::name(), cpu::level()),
        batch: options.batch,
        events_us: options.events_us,
        // The next tick ends it. The last call may have left interrupts masked.
        sleep: |_| {
            Cr8::write(None);
            hlt();
        },
        started: Some(boot.entered),
    };
    let mut report = run(manager, &plan, console);
    report.passed &= refused.is_empty();
    report.refused.splice(0..0, refused);
    let passed = report.passed;
    #[cfg(feature = "rigs")]
    if options.task == Task::Record {
        rigs::recorder::send(manager, tell_host);
    }
    tell_host(&Message::Report(report));
    passed
}

/// Returns the modules on the disk, in the order of their names, and the files that are not modules.
fn read_disk(platform: &impl Platform, console: &KernelConsole) -> (Vec<(String, Vec<u8>)>, Vec<Refusal>) {
    let (mut files, mut refused) = (Vec::new(), Vec::new());
    let mut refuse = |source: String, error: ErrorText| {
        line!(console, Error, "[ERROR] {source}: {error}");
        refused.push(Refusal::new(source, error.into_owned()));
    };
    for path in modules::select(platform, &mut refuse) {
        match modules::read(&path) {
            Ok(bytes) => files.push((path, bytes)),
            Err(error) => refuse(path, error),
        }
    }
    (files, refused)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let note = |provider: &Name| {
        console::show(Style::Error, format_args!("[ERROR] provider {provider}: {info}; it is not called again\n"));
    };
    // SAFETY: this is the panic handler, on the stack of what panicked; the kernel's providers share nothing on their
    // stacks, and those of rigs use the manager within `outside_provider`.
    unsafe { abandon_provider(note) };
    console::show(Style::Error, format_args!("[PANIC] {info}\n"));
    console::flush();
    exit_qemu(ExitCode::Panicked)
}
