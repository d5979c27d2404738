//! What `tune` takes.

use std::path::PathBuf;

use clap::{Args, value_parser};

/// What `tune` takes.
#[derive(Debug, Args)]
pub struct TuneOptions {
    /// The module, by the name of its crate.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What it is run on: a file's bytes, or else this very text.
    #[arg(long, value_name = "FILE|TEXT")]
    pub input: Option<String>,
    /// How often each build is called in this process.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Write the choice into the module's Cargo.toml.
    #[arg(long)]
    pub write: bool,
    /// Write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
