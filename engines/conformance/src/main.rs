//! Runs the engines' code against the specification's tests, against hostile modules, and against wasmtime.
//!
//! ```text
//! arguments.rs              the arguments of the command line
//! spec/                     the tests of the specification
//! case.rs                   a call of an export, and how it is to end
//! instrument/               the module that is compiled: the test's, and a function that makes these calls
//! place.rs                  a place where modules run, and what becomes of cases there
//! process.rs  engine.rs     this process, and the engines as libraries
//! kernel.rs                 a kernel that is served, with the engines as modules
//! module.rs                 the compiler as a module, compared with its library
//! hostile/                  modules that are made to hurt a compiler, and what becomes of each
//! smith/  figures.rs        comparisons with wasmtime: results of random modules; time, size and speed
//! ```

mod arguments;
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
#[cfg(feature = "peer")]
mod smith;
mod spec;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser;
use peak_alloc::PeakAlloc;

/// Counts the heap in use, of which hostile modules must not take much.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

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
    use crate::arguments::{Code, Kind, Work};
    use crate::process::Process;
    use crate::{hostile, spec};

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
