//! What the commands take that run modules themselves: here, or in a kernel they boot.

use std::path::PathBuf;

use clap::Args;

use super::load::{Domain, LoadingOptions};

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
    /// Call each module many times in a row at the end, and show what one call takes to a hundredth of a cycle.
    #[arg(long)]
    pub batch: bool,
    /// How modules are loaded.
    #[command(flatten)]
    pub loading: LoadingOptions,
}

/// What `host` takes besides.
#[derive(Debug, Args)]
pub struct HostOptions {
    /// What is run.
    #[command(flatten)]
    pub run: RunOptions,
    /// Write the output of the last module that has any; a picture (Netpbm's P6 or P5) as PNG if the name ends so.
    #[arg(long, value_name = "FILE[.png]")]
    pub output: Option<PathBuf>,
    /// Make the calls of a recording instead, with what services told the modules then, and show the first difference.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "input", "repeat", "domain", "output"])]
    pub replay: Option<PathBuf>,
}

/// The machine that a kernel boots in.
#[derive(Debug, Args)]
pub struct MachineOptions {
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
    /// A raw disk image, which the kernel finds its files on and may write to.
    #[arg(long, value_name = "IMG")]
    pub disk: Option<PathBuf>,
}

/// What `boot` takes besides.
#[derive(Debug, Args)]
pub struct BootOptions {
    /// What is run.
    #[command(flatten)]
    pub run: RunOptions,
    /// What it boots in.
    #[command(flatten)]
    pub machine: MachineOptions,
    /// Keep what modules are called with, what they ask services for, and what comes of it, for `host --replay`.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Seconds after which the kernel is given up.
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub timeout: u64,
}

/// What `serve` takes.
#[derive(Debug, Args)]
pub struct ServeOptions {
    /// Further blobs to load at the start.
    #[arg(value_name = "FILE.mod")]
    pub files: Vec<PathBuf>,
    /// Where clients find the kernel; `target/bareflow.sock` of the workspace when not said.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// How modules are loaded.
    #[command(flatten)]
    pub loading: LoadingOptions,
    /// What it boots in.
    #[command(flatten)]
    pub machine: MachineOptions,
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
