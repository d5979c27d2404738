//! The `bareflow` command.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use bareflow::options::{Command, Options};
use bareflow::{
    Ended, boot, build_command, client, disk, examples, host_run, inject, inspect, new, serve, tune, watch,
};
use clap::Parser;

fn main() -> ExitCode {
    let command = Options::parse().command.unwrap_or_default();
    let ended = match &command {
        Command::Boot(options) => boot::boot(options),
        Command::Host(options) => host_run::host(options),
        Command::New(options) => new::new(options),
        Command::Build { which, strip } => build_command::build(which, *strip),
        Command::Test(options) => examples::test(options),
        Command::Tune(options) => tune::tune(options),
        Command::Inject(options) => inject::inject(options),
        Command::Disk(command) => disk::disk(command),
        Command::Inspect { file, allow, json } => inspect::inspect(file, *allow, json.as_deref()),
        Command::Serve(options) => serve::serve(options),
        Command::Ps(options) => client::ps(options),
        Command::Push(options) => client::push(options),
        Command::Watch(options) => watch::watch(options),
        Command::Call(options) => client::call(options),
        Command::Unload(options) => client::unload(options),
        Command::Activate(options) => client::activate(options),
        Command::Compare(options) => client::compare(options),
        Command::Stats(options) => client::stats(options),
        Command::Log(options) => client::log(options),
        Command::Load(options) => client::load(options),
        Command::Ls(options) => client::ls(options),
        Command::Save(options) => client::save(options),
        Command::Shutdown(options) => client::shutdown(options),
    };
    match ended {
        Ok(Ended::Passed) => ExitCode::SUCCESS,
        Ok(Ended::Failed) => ExitCode::from(1),
        Err(problem) => {
            anstream::eprintln!("error: {problem}");
            ExitCode::from(2)
        }
    }
}
