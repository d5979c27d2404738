//! Why a build stopped.

use std::fmt;
use std::path::PathBuf;

use bareflow_packer::PackError;

/// Why a build stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// `cargo metadata` failed.
    Metadata {
        /// What cargo said.
        reason: String,
    },
    /// A table `package.metadata.bareflow` that can't be used.
    Settings {
        /// The crate.
        krate: String,
        /// What is wrong, what was expected, what to do.
        reason: String,
    },
    /// A module that isn't there.
    NoSuchModule {
        /// The name asked for.
        name: String,
        /// Those that are there.
        known: Vec<String>,
    },
    /// A tool that can't be started.
    Tool {
        /// The tool.
        tool: String,
        /// What the system said, and what to do.
        reason: String,
    },
    /// A crate that doesn't compile.
    Compile {
        /// The crate.
        krate: String,
        /// What the compiler said.
        output: String,
    },
    /// A module that doesn't link.
    Link {
        /// The crate.
        krate: String,
        /// What the linker said.
        output: String,
    },
    /// A module that can't be packed.
    Pack {
        /// The crate.
        krate: String,
        /// Why.
        error: PackError,
    },
    /// A file that can't be read or written.
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// No `core` for the kernel's target.
    NoKernelTarget,
}

impl fmt::Display for BuildError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metadata { reason } => write!(out, "cargo metadata failed: {reason}"),
            Self::Settings { krate, reason } => {
                write!(out, "module {krate}: package.metadata.bareflow in its Cargo.toml: {reason}")
            }
            Self::NoSuchModule { name, known } => write!(
                out,
                "no module {name}: there are {}; `bareflow new {name}` makes it",
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            ),
            Self::Tool { tool, reason } => write!(out, "can't run {tool}: {reason}"),
            Self::Compile { krate, output } => write!(out, "module {krate} does not compile:\n{}", output.trim_end()),
            Self::Link { krate, output } => write!(out, "module {krate} does not link:\n{}", output.trim_end()),
            Self::Pack { krate, error } => write!(out, "module {krate} can't be packed: {error}"),
            Self::File { path, action, error } => write!(out, "can't {action} {}: {error}", path.display()),
            Self::NoKernelTarget => out.write_str(
                "no core library for x86_64-unknown-none: neither rustup's target nor Debian's compiler with its \
                 source is here; run `make setup`",
            ),
        }
    }
}

impl std::error::Error for BuildError {}
