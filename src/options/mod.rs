//! The command line: the commands here, what they take in `run` (those that boot or
//! run) and `client` (those that talk to a running kernel), what both share in `load`.

mod client;
mod load;
mod modules;
mod run;
mod tune;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub use client::{
    CallOptions, CompareOptions, Dial, FilesOptions, LoadFileOptions, LogOptions, ModuleOptions, PlainOptions,
    PushOptions, StatsOptions, WatchOptions, WishOptions,
};
pub use load::{Domain, LoadingOptions, Timing};
pub use modules::{BuildOptions, NewOptions, TestOptions};
pub use run::{BootOptions, HostOptions, InjectOptions, MachineOptions, RunOptions, ServeOptions};
pub use tune::TuneOptions;

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
    Host(HostOptions),
    /// Make a new module crate that builds as it stands.
    New(NewOptions),
    /// Build the blobs and list them with their sizes.
    Build {
        /// Which modules.
        #[command(flatten)]
        which: BuildOptions,
        /// Leave the names of functions out of the blobs.
        #[arg(long)]
        strip: bool,
    },
    /// Build modules and run their examples, here and, with `--boot`, in the kernel: in both domains each.
    Test(TestOptions),
    /// Build a module in many ways, run all of them, and find those that pay.
    Tune(TuneOptions),
    /// Flip bits of running modules in the kernel, and count what comes of it.
    Inject(InjectOptions),
    /// Show what is in a blob, and whether it would be loaded.
    Inspect {
        /// The blob.
        file: PathBuf,
        /// The policy that the verdict is by: `all`, `none`, or some of `log,clock,call,heap`.
        #[arg(long, value_name = "SERVICES", default_value = "all", value_parser = load::allowed)]
        allow: bareflow_loader::Allowed,
        /// Write the same as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Make an image of a disk with modules, or show what is on one.
    #[command(subcommand)]
    Disk(crate::disk::options::DiskCommand),
    /// Boot the kernel in QEMU and keep it running for the commands below.
    Serve(ServeOptions),
    /// List the modules of a running kernel.
    Ps(PlainOptions),
    /// Put a blob in the place of the loaded module of its name.
    Push(PushOptions),
    /// Build and push a module of this workspace whenever one of its files is saved.
    Watch(WatchOptions),
    /// Call a module.
    Call(CallOptions),
    /// Unload a module and show what it gave back.
    Unload(ModuleOptions),
    /// Make one of several loaded versions the one that its name stands for.
    Activate(ModuleOptions),
    /// Run two modules on the same input and show what they cost, side by side.
    Compare(CompareOptions),
    /// Show the statistics of modules, with what is known of their faults.
    Stats(StatsOptions),
    /// Show the kernel's console.
    Log(LogOptions),
    /// Load a blob from the kernel's disk.
    Load(LoadFileOptions),
    /// List the files of a folder on the kernel's disk.
    Ls(FilesOptions),
    /// Write a loaded module's blob to the kernel's disk.
    Save(ModuleOptions),
    /// End the kernel.
    Shutdown(PlainOptions),
}

impl Default for Command {
    fn default() -> Command {
        let Some(Command::Boot(options)) = Options::parse_from(["bareflow", "boot"]).command else {
            unreachable!("`boot` parses as boot")
        };
        Command::Boot(options)
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
