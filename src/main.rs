//! The `bareflow` command.

#![forbid(unsafe_code)]

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use bareflow::input_files::check_json;
use bareflow::options::{Command, Options};
use bareflow::output::{self, Sink};
use bareflow::{
    Exit, boot, build_command, client, complain, disk, host_run, inject, inspect, module_tests, new, serve, tune, watch,
};
use clap::Parser;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(said) => {
            // Help and versions are reported as errors, too. A closed pipe is not a failure for them.
            return match said.print() {
                Err(error) if error.kind() != ErrorKind::BrokenPipe && !said.use_stderr() => {
                    complain!("error: can't write to standard output: {error}");
                    ExitCode::from(2)
                }
                _ => ExitCode::from(u8::try_from(said.exit_code()).unwrap_or(2)),
            };
        }
    };
    let json = options.command.json();
    output::set_sink(match json {
        _ if options.quiet => Sink::Nowhere,
        Some(path) if path == Path::new("-") => Sink::Errors,
        _ => Sink::Output,
    });
    let ended = json.map_or(Ok(()), check_json).and_then(|()| carry_out(&options.command));
    let written = output::finish();
    match ended.and_then(|exit| written.map(|()| exit)) {
        Ok(Exit::Passed) => ExitCode::SUCCESS,
        Ok(Exit::Failed) => ExitCode::from(1),
        Err(problem) => {
            complain!("error: {problem}");
            ExitCode::from(2)
        }
    }
}

fn carry_out(command: &Command) -> Result<Exit> {
    match command {
        Command::Boot(options) => boot::boot(options),
        Command::Host(options) => host_run::host(options),
        Command::New(options) => new::new(options),
        Command::Build { which, strip } => build_command::build(which, *strip),
        Command::Test(options) => module_tests::test(options),
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
    }
}
