//! Builds blobs from sources, and a kernel with the blobs in it.
//!
//! The crate is shared by the build script and the command line: [`discover::discover`] finds the module crates,
//! [`build_module`] compiles, links and packs one, [`pgo`] runs one to collect a profile of its code, and
//! [`kernel`] puts the blobs into an archive and builds the kernel with it. [`toolchain`] is the only place that
//! decides which compiler and linker are used.

#![forbid(unsafe_code)]

mod blob;
mod compile;
pub mod discover;
pub mod error;
pub mod example;
pub mod flags;
pub mod kernel;
pub mod module;
pub mod pgo;
mod portable;
pub mod settings;
pub mod subprocess;
pub mod toolchain;
pub mod vendor;
mod version_range;

pub use blob::Blob;
pub use discover::{ModuleCrate, Workspace};
pub use error::BuildError;
pub use example::Example;
pub use module::{build_module, build_with};
pub use settings::{Checks, CodegenOptions};
