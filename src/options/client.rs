//! The options of the commands that talk to a running kernel.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use bareflow_loader::Budget;
use bareflow_loader::Domain;
use bareflow_protocol::comparison::{Condition, Conditions};
use bareflow_protocol::control::LoadOverrides;
use clap::{Args, Subcommand, value_parser};

use super::duration;
use super::loading::{AssignmentOptions, budget, on_fault};
use super::portable::{EngineOptions, TierOptions};
use super::words::domain;

/// The longest trace, in seconds.
const MAX_TRACE_S: u64 = 3600;

/// The kernel's address, and the file for its response.
#[derive(Debug, Args)]
pub struct ConnectOptions {
    /// The socket that `serve` listens on; by default the one in BAREFLOW_SOCKET, target/bareflow.sock of the
    /// workspace, or bareflow.sock in the user's runtime folder.
    #[arg(long, value_name = "PATH", conflicts_with = "port")]
    pub socket: Option<PathBuf>,
    /// A serial port with the kernel at its other end, such as /dev/ttyS0, instead of `serve`.
    #[arg(long, value_name = "DEVICE")]
    pub port: Option<PathBuf>,
    /// The address and port of a kernel whose module `control` takes clients by TCP, instead of `serve`'s socket.
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with_all = ["socket", "port"])]
    pub tcp: Option<String>,
    /// The file with the token that such a kernel demands; by default the one beside `serve`'s socket.
    #[arg(long, value_name = "FILE", requires = "tcp")]
    pub token: Option<PathBuf>,
    /// Seconds without a sign of the kernel after which a request fails.
    #[arg(long, value_name = "S", default_value_t = 600, value_parser = value_parser!(u64).range(1..=86400))]
    pub timeout: u64,
    /// Write the response as JSON; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Settings of a module; those that are not given stay as they are.
#[derive(Debug, Args)]
pub struct OverrideOptions {
    /// The domain that its code runs in.
    #[arg(long, value_parser = domain())]
    pub domain: Option<Domain>,
    /// Limits of a call and of the module's memory: any of `time=10ms,stack=16K,heap=1M,data=1M,memory=64M`.
    #[arg(long, value_name = "LIMITS", value_parser = budget)]
    pub budget: Option<Budget>,
    /// The reaction to a fault: `stop`, `restart`, `restart:N` for at most N times, `fallback` to the version before, or
    /// `backoff` for delayed restarts, as in `backoff:10ms..10s,5/60s,fallback`.
    #[arg(long, value_name = "POLICY", value_parser = policy)]
    pub on_fault: Option<String>,
    /// The parameters and imports to set.
    #[command(flatten)]
    pub assignments: AssignmentOptions,
    /// The tier of a portable module.
    #[command(flatten)]
    pub tier: TierOptions,
}

impl OverrideOptions {
    /// Returns the settings in the form of the protocol, with the [lines](AssignmentOptions::lines) of `assignments`.
    #[must_use]
    pub fn overrides<'all>(&'all self, parameters: &'all str) -> LoadOverrides<'all> {
        let (domain, on_fault) = (self.domain.map(Domain::name), self.on_fault.as_deref());
        LoadOverrides { domain, budget: self.budget, on_fault, parameters, tier: self.tier.tier }
    }
}

/// Checks the text of a fault policy, which the kernel parses again.
fn policy(text: &str) -> Result<String, String> {
    on_fault(text).map(|_| text.to_owned())
}

/// The options of `push`.
#[derive(Debug, Args)]
pub struct PushOptions {
    /// The blob, or a portable module.
    #[arg(value_name = "FILE.mod|FILE.wasm")]
    pub file: PathBuf,
    /// Load it beside the module of the same name instead of replacing it.
    #[arg(long)]
    pub beside: bool,
    /// Conditions that it must meet first, compared with the module of the same name: `p99<=1.05,outputs-equal`.
    #[arg(long, value_name = "CONDITIONS")]
    pub gate: Option<String>,
    /// Number of measurements of each module for the gate; 1000 by default.
    #[arg(long, value_name = "N", requires = "gate", value_parser = value_parser!(u32).range(1..))]
    pub over: Option<u32>,
    /// Input of the gate's calls: `-` (standard input), `@FILE`, `hex:00ff`, `text:..`, a file's name, or else literal
    /// text; by default that of the module's last call.
    #[arg(long, value_name = "INPUT", requires = "gate")]
    pub input: Option<OsString>,
    /// The module's settings.
    #[command(flatten)]
    pub overrides: OverrideOptions,
    /// The engines for a portable module, if the kernel has none.
    #[command(flatten)]
    pub engines: EngineOptions,
    /// The kernel's address.
    #[command(flatten)]
    pub connect: ConnectOptions,
}

impl PushOptions {
    /// Returns the gate's conditions, if there is a gate.
    ///
    /// # Errors
    /// A text that says what was found and what was expected.
    pub fn conditions(&self) -> Result<Option<Conditions>, String> {
        self.gate.as_deref().map(Condition::parse_all).transpose()
    }
}

/// The options of `watch`.
#[derive(Debug, Args)]
pub struct WatchOptions {
    /// The module: its name, or the folder of its crate.
    #[arg(value_name = "NAME|PATH")]
    pub name: String,
    /// End after one save: 0 when the module runs, 1 when it was not built or was refused.
    #[arg(long)]
    pub once: bool,
    /// The module's settings.
    #[command(flatten)]
    pub overrides: OverrideOptions,
    /// The engines for a portable module, if the kernel has none.
    #[command(flatten)]
    pub engines: EngineOptions,
    /// The kernel's address.
    #[command(flatten)]
    pub connect: ConnectOptions,
}

/// The options of `call`.
#[derive(Debug, Args)]
pub struct CallOptions {
    /// The module, function or method: `NAME` or `NAME@VERSION`, or `NAME[.INTERFACE].FUNCTION[@VERSION]`.
    pub name: String,
    /// The arguments of a method, as a JSON array: `["a.txt", 0, {"room": 64}]`; see `interfaces` for what it takes.
    #[arg(value_name = "ARGUMENTS", conflicts_with_all = ["input", "output"])]
    pub arguments: Option<String>,
    /// The input: `-` (standard input), `@FILE`, `hex:00ff`, `text:..`, a file's name, or else literal text.
    #[arg(long, value_name = "INPUT")]
    pub input: Option<OsString>,
    /// Number of calls.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Write its last output; a picture (Netpbm's P6 or P5) becomes a PNG if the name ends in .png.
    #[arg(long, value_name = "FILE[.png]")]
    pub output: Option<PathBuf>,
    /// The kernel's address.
    #[command(flatten)]
    pub connect: ConnectOptions,
}

/// The options of `interfaces`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct InterfacesOptions {
    /// The blobs to list; by default the modules of a running kernel.
    #[arg(value_name = "FILE.mod")]
    pub files: Vec<PathBuf>,
    /// The kernel's address.
    #[command(flatten)]
    pub connect: ConnectOptions,
    /// The comparison.
    #[command(subcommand)]
    pub command: Option<InterfacesCommand>,
}

/// A comparison of interfaces.
#[derive(Debug, Subcommand)]
pub enum InterfacesCommand {
    /// Tell whether users of OLD can use NEW instead: 0 if they can, 1 if not.
    Diff {
        /// The blob that is in use.
        #[arg(value_name = "OLD.mod")]
        old: PathBuf,
        /// The blob that may replace it.
        #[arg(value_name = "NEW.mod")]
        new: PathBuf,
        /// Write the differences as JSON; `-` is standard output.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
}

/// The options of `unload`, `restart`, `activate` and `save`.
#[derive(Debug, Args)]
pub struct ModuleOptions {
    /// The module: NAME or NAME@VERSION.
    pub name: String,
    /// The kernel's address.
    #[command(flatten)]
    pub connect: ConnectOptions,
}

/// The options of `compare`.
#[derive(Debug, Args)]
pub struct CompareOptions {
    /// The first module or function: NAME, NAME@VERSION or NAME.FUNCTION.
    pub first: String,
    /// The second one.
    pub second: String,
    /// Input of both: `-` (standard input), `@FILE`, `hex:00ff`, `text:..`, a file's name, or else literal text.
    #[arg(long, value_name = "INPUT")]
    pub input: Option<OsString>,
    /// Number of measurements of each.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = value_parser!(u32).range(1..))]
    pub over: u32,
    /// The kernel's address.
    #[command(flatten)]
    pub connect: ConnectOptions,
}

/// The options of `stats`.
#[derive(Debug, Args)]
pub struct StatsOptions {
    /// The module: NAME or NAME@VERSION; by default all of them.
    pub name: Option<String>,
    /// The kernel's address.
    #[command(flatten)]
    pub connect: ConnectOptions,
}

/// The options of `log`.
#[derive(Debug, Args)]
pub struct LogOptions {
    /// Keep showing new lines of the console.
    #[arg(long, conflicts_with = "json")]
    pub follow: bool,
    /// The kernel's address.
    #[command(flatten)]
    pub connect: ConnectOptions,
}

/// The options of `trace`.
#[derive(Debug, Args)]
pub struct TraceOptions {
    /// The time to trace: `2s`, `500ms`.
    #[arg(long = "for", value_name = "TIME", default_value = "2s", value_parser = trace_time)]
    pub duration: Duration,
    /// The file to write, in Chrome's trace event format; `-` is standard output.
    #[arg(short, long, value_name = "FILE", default_value = "trace.json")]
    pub output: PathBuf,
    /// The kernel's address.
    #[command(flatten)]
    pub connect: ConnectOptions,
}

/// Reads the time that a trace takes.
fn trace_time(text: &str) -> Result<Duration, String> {
    let found = duration::read(text).filter(|time| (1..=u128::from(MAX_TRACE_S) * 1000).contains(&time.as_millis()));
    found.ok_or_else(|| format!("expected a time such as 2s or 500ms, at most {MAX_TRACE_S}s"))
}

/// The options of `load`.
#[derive(Debug, Args)]
pub struct LoadFileOptions {
    /// The file on the kernel's disk, such as /modules/sum.mod, or the name of the module in it.
    #[arg(value_name = "PATH|NAME")]
    pub path: String,
    /// The module's settings.
    #[command(flatten)]
    pub overrides: OverrideOptions,
    /// The kernel's address.
    #[command(flatten)]
    pub connect: ConnectOptions,
}

/// The options of `ls`.
#[derive(Debug, Args)]
pub struct FilesOptions {
    /// The folder on the kernel's disk.
    #[arg(default_value = "/modules")]
    pub path: String,
    /// The kernel's address.
    #[command(flatten)]
    pub connect: ConnectOptions,
}
