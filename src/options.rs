//! The command line.

use std::path::PathBuf;

use bareflow_loader::{Budget, LoadOptions, OnFault};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// BareFlow: native modules, loaded into a running kernel.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Options {
    /// What to do; boot when nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Boot the kernel in QEMU, run the four tests, then every further module and FILE.
    Boot(BootOptions),
    /// The same run in this process, without a kernel.
    Host(RunOptions),
    /// Make a new module crate that builds as it stands.
    New {
        /// Its name: a-z, 0-9, _ and -, at most 31 of them, a letter first.
        name: String,
    },
    /// Build the blobs and list them with their sizes.
    Build {
        /// The modules to build; all when none is named.
        names: Vec<String>,
    },
    /// Flip bits of running modules in the kernel, and count what comes of it.
    Inject(InjectOptions),
    /// Show what is in a blob, and whether it would be loaded.
    Inspect {
        /// The blob.
        file: PathBuf,
        /// Write the same as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Make an image of a disk with modules, or show what is on one.
    #[command(subcommand)]
    Disk(crate::disk::options::DiskCommand),
}

impl Default for Command {
    fn default() -> Command {
        let Some(Command::Boot(options)) = Options::parse_from(["bareflow", "boot"]).command else {
            unreachable!("`boot` parses as boot")
        };
        Command::Boot(options)
    }
}

/// What `boot` and `host` share.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// Further blobs to load and run.
    #[arg(value_name = "FILE.mod")]
    pub files: Vec<PathBuf>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// How often every module but the four is run.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Input of every module but the four: a file's bytes, or else this very text.
    #[arg(long, value_name = "FILE|TEXT")]
    pub input: Option<String>,
    /// Where the code of modules runs.
    #[arg(long, value_enum, default_value_t = Domain::Kernel)]
    pub domain: Domain,
    /// The most a call may take and a module may have, whatever it asks for: `time=10ms,stack=16K,heap=1M`, any of them.
    #[arg(long, value_name = "LIMITS", value_parser = budget)]
    pub budget: Option<Budget>,
    /// What happens to a module that faults: `stop`, `restart`, or `restart:N` for at most N times.
    #[arg(long, value_name = "POLICY", default_value = "stop", value_parser = on_fault)]
    pub on_fault: OnFault,
    /// How the clock is read around calls.
    #[arg(long, value_enum, default_value_t = Timing::Precise)]
    pub timing: Timing,
}

impl RunOptions {
    /// How modules are loaded.
    #[must_use]
    pub fn load(&self) -> LoadOptions {
        LoadOptions {
            domain: self.domain.into(),
            limits: self.budget.unwrap_or(Budget::LIMITS),
            on_fault: self.on_fault,
        }
    }
}

fn budget(text: &str) -> Result<Budget, String> {
    Budget::LIMITS.parse(text).map_err(|error| error.to_string())
}

fn on_fault(text: &str) -> Result<OnFault, String> {
    OnFault::parse(text).ok_or_else(|| "expected stop, restart or restart:N".to_owned())
}

/// What `boot` takes besides.
#[derive(Debug, Args)]
pub struct BootOptions {
    /// What is run.
    #[command(flatten)]
    pub run: RunOptions,
    /// Let one clock tick be one instruction: the same figures at every run.
    #[arg(long)]
    pub icount: bool,
    /// QEMU's processor.
    #[arg(long, default_value = "max")]
    pub cpu: String,
    /// QEMU's machine: q35, pc or microvm.
    #[arg(long, default_value = "q35")]
    pub machine: String,
    /// QEMU's accelerator.
    #[arg(long, default_value = "tcg")]
    pub accel: String,
    /// Seconds after which the kernel is given up.
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub timeout: u64,
}

/// What `inject` takes.
#[derive(Debug, Args)]
pub struct InjectOptions {
    /// The blobs to disturb; the four and the all-in-one test module when none is named.
    #[arg(value_name = "FILE.mod")]
    pub files: Vec<PathBuf>,
    /// What all that is random depends on: the same seed gives the same injections.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// How many injections.
    #[arg(long, value_name = "N", default_value_t = 800_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: u64,
    /// Where the modules run.
    #[arg(long, value_enum, default_value_t = Domain::User)]
    pub domain: Domain,
    /// Machines at once; as many as there are processors when not said.
    #[arg(long, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// Where the campaign's progress is kept, so that it can be gone on with.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Write the outcome as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Where the code of modules runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Domain {
    /// In ring 0, called directly; with `host`, in this process.
    Kernel,
    /// In ring 3, in an address space of its own; with `host`, in a child process.
    User,
}

impl From<Domain> for bareflow_loader::Domain {
    fn from(domain: Domain) -> bareflow_loader::Domain {
        match domain {
            Domain::Kernel => bareflow_loader::Domain::Kernel,
            Domain::User => bareflow_loader::Domain::User,
        }
    }
}

/// How the clock is read around calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Timing {
    /// With fences: each reading covers the whole call and nothing else.
    Precise,
    /// Without: two clock reads and nothing more.
    Fast,
}

impl From<Timing> for bareflow_loader::Timing {
    fn from(timing: Timing) -> bareflow_loader::Timing {
        match timing {
            Timing::Precise => bareflow_loader::Timing::Precise,
            Timing::Fast => bareflow_loader::Timing::Fast,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn is_consistent() {
        Options::command().debug_assert();
        assert!(matches!(Command::default(), Command::Boot(_)));
    }
}
