//! What the commands take that run modules themselves: here, or in a kernel they boot.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::load::{Domain, LoadingOptions};

/// What `boot` and `host` share.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// Further blobs to load and run.
    #[arg(value_name = "FILE.mod")]
    pub files: Vec<PathBuf>,
    /// Write the report as JSON; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// How often every module but the four is run.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Input of every module but the four: `-` (standard input), `@FILE`, `hex:00ff`, `text:..`, or a file's name, or else this very text.
    #[arg(long, value_name = "INPUT")]
    pub input: Option<OsString>,
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
    /// Its memory: 128M when not said.
    #[arg(long, value_name = "SIZE", default_value = "128M", value_parser = megabytes)]
    pub memory: u32,
    /// A raw disk image, which the kernel finds its files on; `serve` lets it be written to.
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
    /// Where clients find the kernel; when not said, what BAREFLOW_SOCKET names, target/bareflow.sock of the
    /// workspace, or bareflow.sock in the user's runtime folder.
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
    /// Write the outcome as JSON; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Reads a size of memory, in units of 1024 KiB.
fn megabytes(text: &str) -> Result<u32, String> {
    let (digits, unit) = text.split_at(text.trim_end_matches(|last: char| last.is_ascii_alphabetic()).len());
    let factor = match unit {
        "" | "M" | "MiB" => 1,
        "G" | "GiB" => 1024,
        _ => return Err(EXPECTED_MEMORY.to_owned()),
    };
    let found = digits.parse::<u32>().ok().and_then(|count| count.checked_mul(factor));
    found.filter(|count| MEMORY.contains(count)).ok_or_else(|| EXPECTED_MEMORY.to_owned())
}

/// The sizes of memory that a machine may have: less holds no kernel.
const MEMORY: std::ops::RangeInclusive<u32> = 64..=65_536;

const EXPECTED_MEMORY: &str = "expected a size from 64M to 64G, such as 256M";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes_of_memory() {
        assert_eq!((megabytes("256M"), megabytes("1G"), megabytes("128")), (Ok(256), Ok(1024), Ok(128)));
        for wrong in ["", "M", "0", "12K", "63M", "65G", "4194304G", "-5M", "1.5G", "\u{e9}"] {
            assert_eq!(megabytes(wrong), Err(EXPECTED_MEMORY.to_owned()), "{wrong}");
        }
    }
}
