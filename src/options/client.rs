//! What the commands take that talk to a running kernel.

use std::ffi::OsString;
use std::path::PathBuf;

use bareflow_loader::Budget;
use bareflow_protocol::comparison::{Condition, Conditions};
use bareflow_protocol::control::LoadOverrides;
use bareflow_protocol::report;
use clap::{Args, value_parser};

use super::load::{Domain, budget, on_fault};

/// Where the kernel is, and what becomes of its answer.
#[derive(Debug, Args)]
pub struct ConnectOptions {
    /// Where `serve` listens; when not said, what BAREFLOW_SOCKET names, target/bareflow.sock of the workspace, or
    /// bareflow.sock in the user's runtime folder.
    #[arg(long, value_name = "PATH", conflicts_with = "port")]
    pub socket: Option<PathBuf>,
    /// A serial port with the kernel at its other end, such as /dev/ttyS0, instead of `serve`.
    #[arg(long, value_name = "DEVICE")]
    pub port: Option<PathBuf>,
    /// Seconds without a sign of the kernel after which a request is given up.
    #[arg(long, value_name = "S", default_value_t = 600, value_parser = value_parser!(u64).range(1..=86400))]
    pub timeout: u64,
    /// Write the answer as JSON; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// What every such command takes.
#[derive(Debug, Args)]
pub struct PlainOptions {
    /// Where the kernel is.
    #[command(flatten)]
    pub connect: ConnectOptions,
}

/// How a module is to run; what is not said stays as it is.
#[derive(Debug, Args)]
pub struct OverrideOptions {
    /// Where its code runs.
    #[arg(long, value_enum)]
    pub domain: Option<Domain>,
    /// The most a call may take and the module may have: `time=10ms,stack=16K,heap=1M,data=1M`, any of them.
    #[arg(long, value_name = "LIMITS", value_parser = budget)]
    pub budget: Option<Budget>,
    /// What happens when it faults: `stop`, `restart`, or `restart:N` for at most N times.
    #[arg(long, value_name = "POLICY", value_parser = policy)]
    pub on_fault: Option<String>,
}

impl OverrideOptions {
    /// The same, as the kernel is told.
    #[must_use]
    pub fn overrides(&self) -> LoadOverrides<'_> {
        let budget = |Budget { time_us, stack, heap, data }: Budget| report::Budget { time_us, stack, heap, data };
        LoadOverrides {
            domain: self.domain.map(|domain| bareflow_loader::Domain::from(domain).name()),
            budget: self.budget.map(budget),
            on_fault: self.on_fault.as_deref(),
        }
    }
}

/// The text of what happens to a module that faults, which the kernel reads again.
fn policy(text: &str) -> Result<String, String> {
    on_fault(text).map(|_| text.to_owned())
}

/// What `push` takes.
#[derive(Debug, Args)]
pub struct PushOptions {
    /// The blob.
    #[arg(value_name = "FILE.mod")]
    pub file: PathBuf,
    /// Load it beside the one of its name instead of in its place.
    #[arg(long)]
    pub beside: bool,
    /// What it has to prove first, against the one of its name: `p99<=1.05,outputs-equal`.
    #[arg(long, value_name = "CONDITIONS")]
    pub gate: Option<String>,
    /// How many measurements the gate takes of each; 1000 when not said.
    #[arg(long, value_name = "N", requires = "gate", value_parser = value_parser!(u32).range(1..))]
    pub over: Option<u32>,
    /// Input of the gate's calls: `-` (standard input), `@FILE`, `hex:00ff`, `text:..`, or a file's name, or else this very text; that of the module's last call when not said.
    #[arg(long, value_name = "INPUT", requires = "gate")]
    pub input: Option<OsString>,
    /// How it runs.
    #[command(flatten)]
    pub overrides: OverrideOptions,
    /// Where the kernel is.
    #[command(flatten)]
    pub connect: ConnectOptions,
}

impl PushOptions {
    /// The gate's conditions, if there is a gate.
    ///
    /// # Errors
    /// What was found and what was expected.
    pub fn conditions(&self) -> Result<Option<Conditions>, String> {
        self.gate.as_deref().map(Condition::parse_all).transpose()
    }
}

/// What `watch` takes.
#[derive(Debug, Args)]
pub struct WatchOptions {
    /// The module: its name, or the folder of its crate.
    #[arg(value_name = "NAME|PATH")]
    pub name: String,
    /// End after one round: 0 when the module runs, 1 when it was not built or was refused.
    #[arg(long)]
    pub once: bool,
    /// How it runs.
    #[command(flatten)]
    pub overrides: OverrideOptions,
    /// Where the kernel is.
    #[command(flatten)]
    pub connect: ConnectOptions,
}

/// What `call` takes.
#[derive(Debug, Args)]
pub struct CallOptions {
    /// The module: NAME or NAME@VERSION.
    pub name: String,
    /// Its input: `-` (standard input), `@FILE`, `hex:00ff`, `text:..`, or a file's name, or else this very text.
    #[arg(long, value_name = "INPUT")]
    pub input: Option<OsString>,
    /// How often it is called.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Write its last output; a picture (Netpbm's P6 or P5) as PNG if the name ends so.
    #[arg(long, value_name = "FILE[.png]")]
    pub output: Option<PathBuf>,
    /// Where the kernel is.
    #[command(flatten)]
    pub connect: ConnectOptions,
}

/// What `unload`, `activate` and `save` take.
#[derive(Debug, Args)]
pub struct ModuleOptions {
    /// The module: NAME or NAME@VERSION.
    pub name: String,
    /// Where the kernel is.
    #[command(flatten)]
    pub connect: ConnectOptions,
}

/// What `compare` takes.
#[derive(Debug, Args)]
pub struct CompareOptions {
    /// The first module: NAME or NAME@VERSION.
    pub first: String,
    /// The second one.
    pub second: String,
    /// Input of both: `-` (standard input), `@FILE`, `hex:00ff`, `text:..`, or a file's name, or else this very text.
    #[arg(long, value_name = "INPUT")]
    pub input: Option<OsString>,
    /// How many measurements are taken of each.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = value_parser!(u32).range(1..))]
    pub over: u32,
    /// Where the kernel is.
    #[command(flatten)]
    pub connect: ConnectOptions,
}

/// What `stats` takes.
#[derive(Debug, Args)]
pub struct StatsOptions {
    /// The module: NAME or NAME@VERSION; all when none is named.
    pub name: Option<String>,
    /// Where the kernel is.
    #[command(flatten)]
    pub connect: ConnectOptions,
}

/// What `log` takes.
#[derive(Debug, Args)]
pub struct LogOptions {
    /// Go on with what the console shows from now on.
    #[arg(long, conflicts_with = "json")]
    pub follow: bool,
    /// Where the kernel is.
    #[command(flatten)]
    pub connect: ConnectOptions,
}

/// What `load` takes.
#[derive(Debug, Args)]
pub struct LoadFileOptions {
    /// The file on the kernel's disk, such as /modules/sum.mod, or the name of the module that it holds.
    #[arg(value_name = "PATH|NAME")]
    pub path: String,
    /// How its module runs.
    #[command(flatten)]
    pub overrides: OverrideOptions,
    /// Where the kernel is.
    #[command(flatten)]
    pub connect: ConnectOptions,
}

/// What `ls` takes.
#[derive(Debug, Args)]
pub struct FilesOptions {
    /// The folder on the kernel's disk.
    #[arg(default_value = "/modules")]
    pub path: String,
    /// Where the kernel is.
    #[command(flatten)]
    pub connect: ConnectOptions,
}
