//! Runs the engines' code against the tests of WebAssembly's specification.
//!
//! ```text
//! spec.rs  reasons.rs       the tests of the specification, and those that can't be run, each with its reason
//! value.rs                  arguments and results
//! instance.rs               an instance: its blob, loaded into this process
//! dispatcher.rs             the module that is compiled: the test's, and a function that calls its exports
//! ```

mod dispatcher;
mod instance;
mod reasons;
mod spec;
mod value;

use std::process::ExitCode;

use bareflow_translator::{Bounds, Optimization, Options};
use clap::{Args, Parser, Subcommand, ValueEnum};

#[derive(Parser)]
#[command(about = "Tests the engines")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the tests of WebAssembly's specification.
    Spec {
        #[command(flatten)]
        code: Code,
        /// Runs the files whose names contain this.
        #[arg(long, default_value = "")]
        file: String,
        /// Runs the tests of version 2, of what is supported of it.
        #[arg(long)]
        two: bool,
    },
}

/// What code to make.
#[derive(Args, Clone, Copy)]
struct Code {
    /// How much work goes into fast code.
    #[arg(long, value_enum, default_value = "speed")]
    optimization: Work,
    /// How accesses stay within memory.
    #[arg(long, value_enum, default_value = "checked")]
    bounds: Kind,
    /// Leaves out the guard against Spectre.
    #[arg(long)]
    no_spectre_guard: bool,
    /// The x86-64 level of the code.
    #[arg(long, default_value_t = 1)]
    level: u8,
}

#[derive(Clone, Copy, ValueEnum)]
enum Work {
    Quick,
    Speed,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Checked,
    Window,
}

impl Code {
    /// Returns the translator's options.
    fn options(self) -> Options {
        Options {
            version: (1, 0, 0),
            optimization: match self.optimization {
                Work::Quick => Optimization::Quick,
                Work::Speed => Optimization::Speed,
            },
            cpu_level: self.level,
            bounds: match self.bounds {
                Kind::Checked => Bounds::Checked { spectre_guard: !self.no_spectre_guard },
                Kind::Window => Bounds::Window,
            },
            maximum_pages: 1024,
        }
    }
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Spec { code, file, two } => spec::run(&code.options(), &file, two),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
