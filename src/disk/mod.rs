//! The `disk` command: makes and lists disk images, from which the kernel loads modules and to which it saves them.

pub(crate) mod create;
mod image;
mod list;
pub mod options;

use anyhow::Result;

use crate::Exit;
use options::DiskCommand;

/// Runs the command.
///
/// # Errors
/// When the image can't be made or read.
pub fn disk(command: &DiskCommand) -> Result<Exit> {
    match command {
        DiskCommand::Create(options) => create::create(options),
        DiskCommand::List { image } => list::list(image),
    }
}
