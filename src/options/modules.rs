//! What the commands take that make, build and test modules.

use std::path::PathBuf;

use bareflow_loader::Budget;
use clap::Args;

/// What `new` takes.
#[derive(Debug, Args)]
pub struct NewOptions {
    /// Its name: a-z, 0-9, _ and -, at most 31 of them, a letter first. With `--standalone` the folder to make it
    /// in, whose last part is its name.
    pub name: String,
    /// Make it a crate that lies anywhere and needs nothing of this workspace.
    #[arg(long)]
    pub standalone: bool,
}

/// What `build` takes.
#[derive(Debug, Default, Args)]
pub struct BuildOptions {
    /// The modules to build, by name or by the folder of their crate; when none is named, all of the workspace, or
    /// else the crate here.
    #[arg(value_name = "NAME|PATH")]
    pub names: Vec<String>,
    /// Build those of the gallery.
    #[arg(long)]
    pub gallery: bool,
    /// Check arithmetic for overflow and look at debug assertions, whatever the crate says: what fails is a panic.
    #[arg(long)]
    pub debug: bool,
}

/// What `test` takes.
#[derive(Debug, Args)]
pub struct TestOptions {
    /// Which modules.
    #[command(flatten)]
    pub which: BuildOptions,
    /// Run the examples in the kernel, too.
    #[arg(long)]
    pub boot: bool,
    /// The most a call may take and a module may have, whatever it asks for: `time=10ms,stack=16K,heap=1M`, any of them.
    #[arg(long, value_name = "LIMITS", value_parser = super::load::budget)]
    pub budget: Option<Budget>,
    /// Write what came of it as JSON; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
