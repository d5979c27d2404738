//! Runs the engines' code against the specification's tests, against hostile modules, and against wasmtime.
//!
//! ```text
//! spec.rs  reasons.rs       the tests of the specification, and those that can't be run, each with its reason
//! value.rs                  arguments and results
//! case.rs                   a call of an export, and how it is to end
//! instrument/               the module that is compiled: the test's, and a function that makes these calls
//! place.rs                  a place where modules run, and what becomes of cases there
//! process.rs  engine.rs     this process, and the engines as libraries
//! kernel.rs                 a kernel that is served, with the engines as modules
//! module.rs                 the compiler as a module, compared with its library
//! hostile.rs                modules that are made to hurt a compiler, and what becomes of each
//! smith.rs  figures.rs      comparisons with wasmtime: results of random modules; time, size and speed
//! ```

mod case;
mod engine;
#[cfg(feature = "peer")]
mod figures;
mod hostile;
mod instrument;
mod kernel;
mod module;
mod place;
mod process;
mod reasons;
#[cfg(feature = "peer")]
mod smith;
mod spec;
mod value;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use bareflow_loader::Domain;
use bareflow_protocol::tier::Tier;
use bareflow_translator::{Bounds, Optimization, Options};
use clap::{Args, Parser, Subcommand, ValueEnum};
use engine::{Engine, Interpreter};
use kernel::{Connection, ENGINES, Kernel};
use peak_alloc::PeakAlloc;
use place::Place;
use process::Process;

/// Counts the heap in use, of which hostile modules must not take much.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// The most pages that a memory may have: 64 MiB.
const MAX_PAGES: u32 = 1024;

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
        #[command(flatten)]
        place: Where,
        /// Runs the files whose names contain this.
        #[arg(long, default_value = "")]
        file: String,
        /// Runs the tests of version 2, of what is supported of it.
        #[arg(long)]
        two: bool,
    },
    /// Compares what the module `compiler` makes, in both domains of this process, with what its library does.
    Module {
        /// The module.
        compiler: PathBuf,
        /// The modules of WebAssembly.
        files: Vec<PathBuf>,
    },
    /// Compiles modules that are made to hurt a compiler.
    Hostile {
        #[command(flatten)]
        code: Code,
        /// The number of modules with changed bytes.
        #[arg(long, default_value_t = 2000)]
        mutations: u64,
    },
    /// Compares results of random modules with wasmtime's.
    #[cfg(feature = "peer")]
    Smith {
        #[command(flatten)]
        code: Code,
        #[command(flatten)]
        place: Where,
        /// The number of modules.
        #[arg(long, default_value_t = 1000)]
        modules: u64,
        /// The most calls of each.
        #[arg(long, default_value_t = 10)]
        calls: u64,
        /// The number from which the first module is made; the next ones follow.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Compares time, size and speed with wasmtime's.
    #[cfg(feature = "peer")]
    Figures {
        #[command(flatten)]
        code: Code,
        /// The modules; each exports a function `run` without arguments.
        files: Vec<PathBuf>,
    },
}

/// Where modules run.
#[derive(Args)]
struct Where {
    /// Tests the interpreter instead of the compiler.
    #[arg(long)]
    interpret: bool,
    /// Runs the modules in the kernel that `bareflow serve` keeps up at this socket, by both engines and in both domains.
    #[arg(long, conflicts_with = "interpret")]
    kernel: Option<PathBuf>,
    /// The folder of the engines that are loaded into that kernel.
    #[arg(long, default_value = "target/engines")]
    engines: PathBuf,
}

impl Where {
    /// Runs tests at each place. Returns whether all passed.
    fn each(&self, code: Code, mut test: impl FnMut(&mut dyn Place) -> Result<bool>) -> Result<bool> {
        let Some(socket) = &self.kernel else {
            let options = code.options();
            let engine: &dyn Engine = if self.interpret { &Interpreter(MAX_PAGES) } else { &options };
            return test(&mut Process::new(engine)?);
        };
        let mut connection = Connection::open(socket)?;
        connection.load_engines(&self.engines)?;
        let mut all = true;
        for (engine, tier, _) in ENGINES {
            let tier = Tier::from_name(tier).context("no such tier")?;
            for domain in [Domain::Kernel, Domain::User] {
                println!("the {engine} in a kernel, the modules in its domain {}:", domain.name());
                all &= test(&mut Kernel::new(&mut connection, tier, domain))?;
            }
        }
        Ok(all)
    }
}

/// The code to make.
#[derive(Args, Clone, Copy)]
struct Code {
    /// The work that goes into fast code.
    #[arg(long, value_enum, default_value = "speed")]
    optimization: Work,
    /// The way in which accesses stay within memory.
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
                Kind::Checked => Bounds::Checked,
                Kind::Window => Bounds::Window,
            },
            spectre_guard: !self.no_spectre_guard,
            maximum_pages: MAX_PAGES,
        }
    }
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Spec { code, place, file, two } => place.each(code, |place| spec::run(place, &file, two)),
        Command::Module { compiler, files } => module::run(&compiler, &files),
        Command::Hostile { code, mutations } => hostile::run(&code.options(), mutations),
        #[cfg(feature = "peer")]
        Command::Smith { code, place, modules, calls, seed } => {
            place.each(code, |place| smith::run(place, seed..seed + modules, calls))
        }
        #[cfg(feature = "peer")]
        Command::Figures { code, files } => figures::run(&code.options(), &files),
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

#[cfg(test)]
mod tests {
    use super::*;

    // One after the other, since the heap in use is counted for all threads.
    #[test]
    fn the_specification_holds_and_hostile_modules_end_as_expected() {
        for optimization in [Work::Quick, Work::Speed] {
            for bounds in [Kind::Checked, Kind::Window] {
                let options = Code { optimization, bounds, no_spectre_guard: false, level: 1 }.options();
                let mut place = Process::new(&options).unwrap();
                assert!(spec::run(&mut place, "", false).unwrap(), "{options:?}");
            }
        }
        let code = Code { optimization: Work::Speed, bounds: Kind::Checked, no_spectre_guard: false, level: 1 };
        assert!(hostile::run(&code.options(), 100).unwrap());
    }
}
