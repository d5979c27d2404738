//! The arguments of the command line.

use std::path::PathBuf;

use anyhow::{Context, Result};
use bareflow_loader::Domain;
use bareflow_protocol::tier::Tier;
use bareflow_translator::{Bounds, Optimization, Options};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::engine::{Engine, Interpreter};
use crate::kernel::{Connection, ENGINES, Kernel};
use crate::place::Place;
use crate::process::Process;

/// The most pages that a memory may have: 64 MiB.
const MAX_PAGES: u32 = 1024;

#[derive(Parser)]
#[command(about = "Tests the engines")]
pub struct Arguments {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
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
pub struct Where {
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
    pub fn each(&self, code: Code, mut test: impl FnMut(&mut dyn Place) -> Result<bool>) -> Result<bool> {
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
pub struct Code {
    /// The work that goes into fast code.
    #[arg(long, value_enum, default_value = "speed")]
    pub optimization: Work,
    /// The way in which accesses stay within memory.
    #[arg(long, value_enum, default_value = "checked")]
    pub bounds: Kind,
    /// Leaves out the guard against Spectre.
    #[arg(long)]
    pub no_spectre_guard: bool,
    /// The x86-64 level of the code.
    #[arg(long, default_value_t = 1)]
    pub level: u8,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Work {
    Quick,
    Speed,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Kind {
    Checked,
    Window,
}

impl Code {
    /// Returns the translator's options.
    pub fn options(self) -> Options {
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
