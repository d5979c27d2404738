//! The options of `tune`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, value_parser};

use super::loading::AssignmentOptions;

/// The options of `tune`.
#[derive(Debug, Args)]
pub struct TuneOptions {
    /// The module: its name, or the folder of its crate.
    #[arg(value_name = "NAME|PATH")]
    pub name: String,
    /// The input: `-` (standard input), `@FILE`, `hex:00ff`, `text:..`, a file's name, or else literal text.
    #[arg(long, value_name = "INPUT")]
    pub input: Option<OsString>,
    /// Number of calls of each build in this process.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// The parameters and imports to set.
    #[command(flatten)]
    pub assignments: AssignmentOptions,
    /// The x86-64 levels to build for.
    #[arg(long, value_name = "LEVELS", value_delimiter = ',', default_value = "v1,v2,v3,v4", value_parser = cpu_level)]
    pub cpu_levels: Vec<u8>,
    /// The optimisation levels to build at.
    #[arg(long, value_name = "LEVELS", value_delimiter = ',', default_value = "s,2,3", value_parser = opt_level)]
    pub opt_levels: Vec<String>,
    /// Make no builds that use a profile of the module's runs.
    #[arg(long)]
    pub no_profile: bool,
    /// Write the choice into the module's Cargo.toml.
    #[arg(long)]
    pub write: bool,
    /// Draw the bars as SVG.
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// Write the figures as JSON; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Parses an x86-64 level.
fn cpu_level(text: &str) -> Result<u8, String> {
    let level = text.strip_prefix('v').and_then(|digit| digit.parse().ok());
    level.filter(|level| (1..=4).contains(level)).ok_or_else(|| "expected some of v1, v2, v3, v4".to_owned())
}

/// Parses an optimisation level.
fn opt_level(text: &str) -> Result<String, String> {
    let known = ["0", "1", "2", "3", "s", "z"].contains(&text);
    if known { Ok(text.to_owned()) } else { Err("expected some of 0, 1, 2, 3, s, z".to_owned()) }
}
