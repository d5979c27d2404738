//! The options of the commands that run modules themselves: in this process, or in a kernel that they boot.

use std::ffi::OsString;
use std::path::PathBuf;

use bareflow_loader::Domain;
use clap::Args;

use super::duration;
use super::loading::LoadingOptions;
use super::network::Network;
use super::portable::EngineOptions;
use super::words::native_domain;

/// The options that `boot` and `host` share.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// Further blobs and portable modules to load and run.
    #[arg(value_name = "FILE.mod|FILE.wasm")]
    pub files: Vec<PathBuf>,
    /// Write the report as JSON; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Number of calls of every module but the four tests.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Input of every module but the four tests: `-` (standard input), `@FILE`, `hex:00ff`, `text:..`, a file's name,
    /// or else literal text.
    #[arg(long, value_name = "INPUT")]
    pub input: Option<OsString>,
    /// Call each module many times in a row at the end, and show the time of a call to a hundredth of a cycle.
    #[arg(long)]
    pub batch: bool,
    /// Time for which events of modules are run after the tests, such as `500ms` or `2s`; none by default.
    #[arg(long, value_name = "DURATION", value_parser = microseconds)]
    pub events: Option<u64>,
    /// Options for loading modules.
    #[command(flatten)]
    pub loading: LoadingOptions,
}

impl RunOptions {
    /// Returns the time for which events are run, in microseconds.
    #[must_use]
    pub fn events_us(&self) -> u64 {
        self.events.unwrap_or_default()
    }
}

/// The options of `host`.
#[derive(Debug, Args)]
pub struct HostOptions {
    /// The run.
    #[command(flatten)]
    pub run: RunOptions,
    /// Write the output of the last module that has any; a picture (Netpbm's P6 or P5) becomes a PNG if the name ends
    /// in .png.
    #[arg(long, value_name = "FILE[.png]")]
    pub output: Option<PathBuf>,
    /// Folder for what modules store, which is made if it is missing; without it they can't store anything.
    #[arg(long, value_name = "FOLDER")]
    pub store: Option<PathBuf>,
    /// Repeat the calls of a recording instead, with the services' recorded answers, and show the first difference.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "input", "repeat", "domain", "output", "events"])]
    pub replay: Option<PathBuf>,
}

/// Reads the port at which clients come by TCP.
fn control(text: &str) -> Result<u16, String> {
    let port = text.strip_prefix("tcp:").and_then(|port| port.parse().ok()).filter(|port| *port != 0);
    port.ok_or_else(|| "expected `tcp:` and a port, such as `tcp:9000`".to_owned())
}

/// Reads the ports that a network passes on.
fn network(text: &str) -> Result<Network, String> {
    Network::parse(text).ok_or_else(|| {
        format!(
            "{text}: expected udp:PORT:PORT or tcp:PORT:PORT, of 127.0.0.1 and of the machine, from 1 on and each of \
             the former once, wire, or stream:PATH; with model=virtio or model=e1000e before them"
        )
    })
}

/// The machine that a kernel boots in.
#[derive(Debug, Args)]
pub struct MachineOptions {
    /// Make one clock tick one instruction: every run gives the same figures.
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
    /// The machine's memory; 128M by default, and 1G with an engine for portable modules.
    #[arg(long, value_name = "SIZE", value_parser = megabytes)]
    pub memory: Option<u32>,
    /// A network card on QEMU's user network. The ports of 127.0.0.1 that are passed on to the kernel's machine may be named:
    /// `udp:5007:7,tcp:8080:80`. `wire` is two cards on a network of their own, `stream:PATH` a socket that takes the card's
    /// frames, such as passt's. `model=e1000e` before them is Intel's card in place of virtio's.
    #[arg(long, value_name = "FORWARD,..", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = network)]
    pub net: Option<Network>,
    /// A virtio IOMMU, and all devices behind it: each reaches only the memory that its driver gives it. A virtio device of
    /// `--device` takes the words `iommu_platform=on,disable-legacy=on` itself.
    #[arg(long)]
    pub iommu: bool,
    /// A further device for a module to drive, in QEMU's words, such as `edu`. Several may be named.
    #[arg(long, value_name = "WORDS")]
    pub device: Vec<String>,
    /// A raw disk image with files for the kernel; `serve` allows writing to it.
    #[arg(long, value_name = "IMG")]
    pub disk: Option<PathBuf>,
}

/// The options of `boot`.
#[derive(Debug, Args)]
pub struct BootOptions {
    /// The run.
    #[command(flatten)]
    pub run: RunOptions,
    /// The machine to boot in.
    #[command(flatten)]
    pub machine: MachineOptions,
    /// Record modules' inputs, service calls and results, for `host --replay`.
    #[arg(long, value_name = "FILE", conflicts_with = "events")]
    pub record: Option<PathBuf>,
    /// Seconds after which the kernel is given up; 60 by default, and 600 with an engine for portable modules.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub timeout: Option<u64>,
}

/// The options of `serve`.
#[derive(Debug, Args)]
pub struct ServeOptions {
    /// Further blobs and portable modules to load at the start.
    #[arg(value_name = "FILE.mod|FILE.wasm")]
    pub files: Vec<PathBuf>,
    /// The socket for clients; by default the one in BAREFLOW_SOCKET, target/bareflow.sock of the workspace, or
    /// bareflow.sock in the user's runtime folder.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Take clients by TCP as well, at a port of 127.0.0.1: `tcp:9000`. It leads to the module `control`, which is to be among
    /// the files, with `tcpip` and a card's driver. Clients name it by `--tcp`.
    #[arg(long, value_name = "tcp:PORT", value_parser = control)]
    pub control: Option<u16>,
    /// Options for loading modules.
    #[command(flatten)]
    pub loading: LoadingOptions,
    /// The machine to boot in.
    #[command(flatten)]
    pub machine: MachineOptions,
}

/// The options of `inject`.
#[derive(Debug, Args)]
pub struct InjectOptions {
    /// The modules to disturb; by default the four embedded ones and the all-in-one test module. Of a portable one (.wasm),
    /// what `compiler` makes of it.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The engine of portable ones.
    #[command(flatten)]
    pub engines: EngineOptions,
    /// The one module to disturb, such as a driver, while the last of the files, which uses it, is called.
    #[arg(long, value_name = "NAME", requires = "files")]
    pub into: Option<String>,
    /// A network card, as with `boot`.
    #[arg(long, value_name = "FORWARD,..", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = network)]
    pub net: Option<Network>,
    /// Seed of all random choices: the same seed gives the same injections.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Number of injections.
    #[arg(long, value_name = "N", default_value_t = 800_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: u64,
    /// The domain that the modules run in.
    #[arg(long, default_value = "user", value_parser = native_domain())]
    pub domain: Domain,
    /// Number of machines at the same time; by default one per processor.
    #[arg(long, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// File with the campaign's progress, from which it can be continued.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Write the outcome as JSON; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Reads the time for which events are run, and returns it in microseconds.
fn microseconds(text: &str) -> Result<u64, String> {
    let found = duration::read(text).and_then(|time| u64::try_from(time.as_micros()).ok());
    found.filter(|time| (1..=LONGEST_EVENTS_US).contains(time)).ok_or_else(|| EXPECTED_TIME.to_owned())
}

/// The longest time for which events are run: a day.
const LONGEST_EVENTS_US: u64 = 86_400_000_000;

const EXPECTED_TIME: &str = "expected a time up to 86400s, such as 500ms or 2s";

/// Parses a size of memory, and returns it in MiB.
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

/// The sizes of memory that a machine may have, in MiB. The kernel does not fit into less.
const MEMORY: std::ops::RangeInclusive<u32> = 64..=65_536;

const EXPECTED_MEMORY: &str = "expected a size from 64M to 64G, such as 256M";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times() {
        assert_eq!((microseconds("500ms"), microseconds("2s")), (Ok(500_000), Ok(2_000_000)));
        for wrong in ["", "s", "2", "0s", "1.5s", "-1s", "2m", "86401s", "18446744073709551615s", "\u{e9}"] {
            assert_eq!(microseconds(wrong), Err(EXPECTED_TIME.to_owned()), "{wrong}");
        }
    }

    #[test]
    fn reads_sizes_of_memory() {
        assert_eq!((megabytes("256M"), megabytes("1G"), megabytes("128")), (Ok(256), Ok(1024), Ok(128)));
        for wrong in ["", "M", "0", "12K", "63M", "65G", "4194304G", "-5M", "1.5G", "\u{e9}"] {
            assert_eq!(megabytes(wrong), Err(EXPECTED_MEMORY.to_owned()), "{wrong}");
        }
    }
}
