//! `disk`: images of disks with modules, for the kernel to load and save.

pub(crate) mod create;
mod image;
mod list;
pub mod options;

use crate::{BoxError, Exit};
use options::DiskCommand;

/// Carries the command out.
///
/// # Errors
/// When the image can't be made or read.
pub fn disk(command: &DiskCommand) -> Result<Exit, BoxError> {
    match command {
        DiskCommand::Create(options) => create::create(options),
        DiskCommand::List { image } => list::list(image),
    }
}
