//! The `bareflow` command.

#![forbid(unsafe_code)]

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use bareflow::input_files::check_json;
use bareflow::options::Options;
use bareflow::output::{self, Sink};
use bareflow::{Exit, carry_out, complain};

fn main() -> ExitCode {
    let (options, json) = match Options::read() {
        Ok(read) => read,
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
    output::set_sink(match &json {
        _ if options.quiet => Sink::Nowhere,
        Some(path) if path == Path::new("-") => Sink::Errors,
        _ => Sink::Output,
    });
    let ended = json.as_deref().map_or(Ok(()), check_json).and_then(|()| carry_out(&options.command));
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
