//! The command line.
//!
//! This file has the commands, `run` the options of those that boot or run modules, `client` the options of those that
//! talk to a running kernel, and `loading`, `words` and `duration` what both share.

mod client;
mod duration;
mod loading;
mod modules;
mod network;
mod portable;
mod run;
mod tune;
mod words;

use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use client::{
    CallOptions, CompareOptions, ConnectOptions, FilesOptions, InterfacesCommand, InterfacesOptions, LoadFileOptions,
    LogOptions, ModuleOptions, OverrideOptions, PushOptions, StatsOptions, TraceOptions, WatchOptions,
};
pub use loading::{AssignmentOptions, Budgets, LoadingOptions};
pub use modules::{BuildOptions, NewOptions, TestOptions};
pub use network::Network;
pub(crate) use network::option_value;
pub use portable::{EngineOptions, PortableOptions};
pub use run::{BootOptions, HostOptions, InjectOptions, MachineOptions, RunOptions, ServeOptions};
pub use tune::TuneOptions;

/// BareFlow: native modules, loaded into a running kernel.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Options {
    /// Show only errors; results are in files and in the exit code.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

impl Options {
    /// Reads the command line. Returns the options, and the file for the outcome as JSON, if one is named.
    ///
    /// # Errors
    /// A command line that can't be understood, and requests for help.
    pub fn read() -> Result<(Options, Option<PathBuf>), clap::Error> {
        let matches = Options::command().try_get_matches()?;
        let mut command = &matches;
        while let Some((_, inner)) = command.subcommand() {
            command = inner;
        }
        let json = command.try_get_one::<PathBuf>("json").ok().flatten().cloned();
        Ok((Options::from_arg_matches(&matches)?, json))
    }
}

/// The command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Boot the kernel in QEMU, run the four tests, then every further module and FILE.
    Boot(BootOptions),
    /// Do the same run in this process, without a kernel.
    Host(HostOptions),
    /// Make a new module crate that builds as it stands.
    New(NewOptions),
    /// Build the blobs and list them with their sizes.
    Build {
        /// The modules to build.
        #[command(flatten)]
        which: BuildOptions,
        /// Build the engines, which compile portable modules, into target/engines.
        #[arg(long, conflicts_with_all = ["gallery", "drivers", "debug"])]
        engines: bool,
        /// Leave the names of functions out of the blobs.
        #[arg(long)]
        strip: bool,
    },
    /// Build modules and run their examples in both domains, here and, with `--boot`, in the kernel.
    Test(TestOptions),
    /// Build a module in many ways, run all builds, and find those that pay off.
    Tune(TuneOptions),
    /// Flip bits of running modules in the kernel, and count the outcomes.
    Inject(InjectOptions),
    /// Show the contents of a blob, and whether it would be loaded.
    Inspect {
        /// The blob.
        file: PathBuf,
        /// The services that the verdict permits, as `boot --allow` takes them.
        #[arg(long, value_name = "SERVICES", default_value = "all", value_parser = loading::allowed)]
        allow: bareflow_loader::Allowed,
        /// Write the inspection as JSON; `-` is standard output.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// List the imports and exports of a running kernel's modules, or of files.
    Interfaces(InterfacesOptions),
    /// Make a disk image with modules, or list the modules on one.
    #[command(subcommand)]
    Disk(crate::disk::options::DiskCommand),
    /// Boot the kernel in QEMU and keep it running for the commands below.
    Serve(ServeOptions),
    /// List the modules of a running kernel.
    Ps(ConnectOptions),
    /// Replace the loaded module of the same name by a blob.
    Push(PushOptions),
    /// Build and push a module of this workspace whenever one of its files is saved.
    Watch(WatchOptions),
    /// Call a module, or a function or method that it exports.
    Call(CallOptions),
    /// Unload a module and show the resources that it returned.
    Unload(ModuleOptions),
    /// Give a module a fresh image and a fresh state.
    Restart(ModuleOptions),
    /// Make one of several loaded versions the active one.
    Activate(ModuleOptions),
    /// Run two modules or functions on the same input and compare their costs.
    Compare(CompareOptions),
    /// Show the statistics of modules, with the diagnoses of their faults.
    Stats(StatsOptions),
    /// List the devices of the kernel's machine, and who drives them.
    Devices(ConnectOptions),
    /// Show the kernel's console.
    Log(LogOptions),
    /// Trace calls, services and loads for a while, as a file for Perfetto.
    Trace(TraceOptions),
    /// Load a blob from the kernel's disk.
    Load(LoadFileOptions),
    /// List the files of a folder on the kernel's disk.
    Ls(FilesOptions),
    /// Write a loaded module's blob to the kernel's disk.
    Save(ModuleOptions),
    /// Shut the kernel down.
    Shutdown(ConnectOptions),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_consistent() {
        Options::command().debug_assert();
    }
}
