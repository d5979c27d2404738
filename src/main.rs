//! The `bareflow` command.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use bareflow::options::{Command, Options};
use bareflow::{Ended, boot, build_command, disk, host_run, inject, inspect, new};
use clap::Parser;

fn main() -> ExitCode {
    let command = Options::parse().command.unwrap_or_default();
    let ended = match &command {
        Command::Boot(options) => boot::boot(options),
        Command::Host(options) => host_run::host(options),
        Command::New { name } => new::new(name),
        Command::Build { names } => build_command::build(names),
        Command::Inject(options) => inject::inject(options),
        Command::Disk(command) => disk::disk(command),
        Command::Inspect { file, json } => inspect::inspect(file, json.as_deref()),
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
