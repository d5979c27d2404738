//! The `disk` command: makes and lists disk images, from which the kernel loads modules and to which it saves them.

pub(crate) mod create;
mod image;
pub mod options;

use std::fs::File;
use std::path::Path;

use anyhow::{Result, anyhow};
use bareflow_disk::Disk;
use bareflow_loader::RawModule;
use bareflow_suite::portable::{COMPILER, INTERPRETER, is_engine};

use crate::{Exit, say};
use image::Image;
use options::DiskCommand;

/// Opens an image.
fn open(path: &Path) -> std::io::Result<Image> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    Ok(Image { file, length })
}

/// Runs the command.
///
/// # Errors
/// When the image can't be made or read.
pub fn disk(command: &DiskCommand) -> Result<Exit> {
    match command {
        DiskCommand::Create(options) => create::create(options),
        DiskCommand::List { image } => list(image),
    }
}

/// Returns whether there is an engine in an image's `/modules`; no if that can't be read.
pub(crate) fn has_engine(path: &Path) -> bool {
    let Ok(mut disk) = open(path).map_err(drop).and_then(|image| Disk::open(image).map_err(drop)) else { return false };
    let files = disk.list().map(|listing| listing.files).unwrap_or_default();
    files.iter().any(|file| {
        let is_named = disk
            .identify(file)
            .ok()
            .flatten()
            .is_some_and(|found| [COMPILER, INTERPRETER].contains(&found.module.as_str()));
        is_named && disk.read(file).is_ok_and(|blob| RawModule::parse(&blob).is_ok_and(|raw| is_engine(&raw)))
    })
}

/// Lists the files in an image's `/modules`. Unreadable entries are reported, and the others are still listed.
fn list(path: &Path) -> Result<Exit> {
    let shown = path.display();
    let image = open(path).map_err(|error| anyhow!("can't read {shown}: {error}; name an image of a disk"))?;
    let mut disk = Disk::open(image).map_err(|error| anyhow!("{shown}: {error}"))?;
    let listing = disk.list().map_err(|error| anyhow!("{shown}: {error}"))?;
    let mut ended = Exit::Passed;
    let mut complain = |name: &str, error: &dyn std::fmt::Display| {
        crate::complain!("[ERROR] {name}: {error}");
        ended = Exit::Failed;
    };
    say!("{shown}: {}, {} in /modules", disk.kind(), listing.files.len());
    for file in &listing.files {
        let size = if file.folder { "folder".to_owned() } else { file.bytes.to_string() };
        say!("{size:>10}  {}  {}", file.stamp, file.name);
        if !file.folder
            && let Err(error) = disk.read(file)
        {
            complain(&file.name, &error);
        }
    }
    if let Some(error) = &listing.cut {
        complain("/modules", error);
    }
    Ok(ended)
}
