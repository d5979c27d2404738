//! The options of the commands that make, build and test modules.

use std::path::PathBuf;

use clap::Args;

use super::loading::{AssignmentOptions, Budgets};
use super::portable::PortableOptions;

/// The options of `new`.
#[derive(Debug, Args)]
pub struct NewOptions {
    /// The module's name: at most 31 of a-z, 0-9, _ and -, beginning with a letter. With `--standalone`, the folder to
    /// make it in, whose last part is the name.
    pub name: String,
    /// Make a crate that can lie anywhere and needs nothing of this workspace.
    #[arg(long)]
    pub standalone: bool,
}

/// The options of `build`.
#[derive(Clone, Debug, Default, Args)]
pub struct BuildOptions {
    /// The modules to build, by name or by the folder of their crate; by default all of the workspace, or else the
    /// crate here.
    #[arg(value_name = "NAME|PATH")]
    pub names: Vec<String>,
    /// Build the modules of the gallery.
    #[arg(long)]
    pub gallery: bool,
    /// Build the drivers, and what runs on top of them.
    #[arg(long, conflicts_with = "gallery")]
    pub drivers: bool,
    /// Build portable modules, as if each said `portable = true`: WebAssembly, which an engine turns into code.
    #[arg(long)]
    pub portable: bool,
    /// Check for arithmetic overflow and enable debug assertions, whatever the crate says; a failed check is a panic.
    #[arg(long)]
    pub debug: bool,
}

/// The options of `test`.
#[derive(Debug, Args)]
pub struct TestOptions {
    /// The modules to test.
    #[command(flatten)]
    pub which: BuildOptions,
    /// Run the examples in the kernel, too.
    #[arg(long)]
    pub boot: bool,
    /// Limits of every call and of every module's memory: any of `time=10ms,stack=16K,heap=1M,data=1M,memory=64M`; with
    /// a module's name, those of one: `compiler.heap=64M`.
    #[arg(long, value_name = "LIMITS", value_parser = super::loading::budgets)]
    pub budget: Option<Budgets>,
    /// The parameters and imports to set.
    #[command(flatten)]
    pub assignments: AssignmentOptions,
    /// The options for portable modules.
    #[command(flatten)]
    pub portable: PortableOptions,
    /// Write the outcomes as JSON; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
