//! The parts of the `bareflow` command, and the runner that boots kernels in QEMU.

#![deny(unsafe_code)]

mod boot;
mod build_command;
pub mod client;
mod disk;
pub mod embedded;
mod engines;
mod host_run;
mod in_process;
mod inject;
mod input;
pub mod input_files;
mod inspect;
mod interfaces;
mod module_tests;
mod needed;
mod new;
pub mod options;
pub mod output;
mod output_file;
pub mod qemu;
mod replay;
mod report;
pub mod serve;
mod setup;
mod standalone;
mod template;
mod tune;
mod watch;
mod workspace;

use anyhow::Result;

use options::{Command, InterfacesCommand};

/// The outcome of a command that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything passed.
    Passed,
    /// A test failed, a module faulted, or a file was refused.
    Failed,
}

/// Carries out a command.
///
/// # Errors
/// Anything that keeps it from being carried out.
pub fn carry_out(command: &Command) -> Result<Exit> {
    match command {
        Command::Boot(options) => boot::boot(options),
        Command::Host(options) => host_run::host(options),
        Command::New(options) => new::new(options),
        Command::Build { which, engines, strip } => build_command::build(which, *engines, *strip),
        Command::Test(options) => module_tests::test(options),
        Command::Tune(options) => tune::tune(options),
        Command::Inject(options) => inject::inject(options),
        Command::Disk(command) => disk::disk(command),
        Command::Inspect { file, allow, json } => inspect::inspect(file, *allow, json.as_deref()),
        Command::Interfaces(options) => match (&options.command, &options.files[..]) {
            (Some(InterfacesCommand::Diff { old, new, json }), _) => interfaces::diff(old, new, json.as_deref()),
            (None, []) => client::interfaces(&options.connect),
            (None, files) => interfaces::listing::of_files(files, options.connect.json.as_deref()),
        },
        Command::Serve(options) => serve::serve(options),
        Command::Ps(options) => client::ps(options),
        Command::Push(options) => client::push(options),
        Command::Watch(options) => watch::watch(options),
        Command::Call(options) => client::call(options),
        Command::Unload(options) => client::unload(options),
        Command::Restart(options) => client::restart(options),
        Command::Activate(options) => client::activate(options),
        Command::Compare(options) => client::compare(options),
        Command::Stats(options) => client::stats(options),
        Command::Devices(options) => client::devices(options),
        Command::Log(options) => client::log(options),
        Command::Trace(options) => client::trace(options),
        Command::Load(options) => client::load(options),
        Command::Ls(options) => client::ls(options),
        Command::Save(options) => client::save(options),
        Command::Shutdown(options) => client::shutdown(options),
    }
}
