//! The modules on the disk, as the rest of the kernel accesses them: by path.

use alloc::string::String;
use alloc::vec::Vec;

use bareflow_disk::{Chosen, DiskError, File, Identity, Listing};
use bareflow_loader::valid::Capabilities;
use bareflow_loader::{LoadError, Platform, Printable, RawModule, ValidModule};
use bareflow_suite::fallible::ErrorText;
#[cfg(feature = "portable")]
use bareflow_suite::fallible::collect;
use bareflow_suite::{error_text, text};

use super::{KernelDisk, NoDisk, with_disk};

/// The folder of the modules.
const FOLDER: &str = "/modules";

/// Returns the paths of the files to load, in the order of their modules' names; none if no disk is attached. What
/// can't be loaded is told to `refuse`, with the reason.
pub fn select(platform: &impl Platform, mut refuse: impl FnMut(String, ErrorText)) -> Vec<String> {
    if with_disk(|disk| matches!(disk, Err(NoDisk::Missing))) {
        return Vec::new();
    }
    let validate = |blob: &[u8]| -> Result<(), LoadError> {
        ValidModule::validate(RawModule::parse(blob)?, Capabilities::of(platform))?;
        Ok(())
    };
    let selection = match with(|disk| disk.select(validate)) {
        Ok(selection) => selection,
        Err(error) => {
            refuse(String::from("disk"), error);
            return Vec::new();
        }
    };
    selection.refused.into_iter().for_each(|refused| refuse(refused.file, refused.error.into()));
    let path = |chosen: Chosen| match text!("{FOLDER}/{}", chosen.file.name) {
        Ok(path) => Some(path),
        Err(error) => {
            refuse(chosen.module, error.into());
            None
        }
    };
    let native = selection.chosen.into_iter().filter_map(path);
    #[cfg(feature = "portable")]
    return native.collect::<Vec<_>>().into_iter().chain(portable(refuse)).collect();
    #[cfg(not(feature = "portable"))]
    native.collect()
}

/// Returns the paths of the portable modules, by name. They are loaded after the others, among which engines may be.
#[cfg(feature = "portable")]
fn portable(mut refuse: impl FnMut(String, ErrorText)) -> Vec<String> {
    let mut paths = with(KernelDisk::list).and_then(|listing| {
        let portable = listing.files.into_iter().filter(|file| !file.folder && is_portable(&file.name));
        Ok(collect(portable.map(|file| text!("{FOLDER}/{}", file.name)))?)
    });
    if let Ok(paths) = &mut paths {
        paths.sort_unstable();
    }
    paths.unwrap_or_else(|error| {
        refuse(String::from("disk"), error);
        Vec::new()
    })
}

/// Finds the file of a portable module by the module's name.
#[cfg(feature = "portable")]
fn find_portable(module: &str) -> Result<Option<File>, ErrorText> {
    let is_it =
        |file: &File| is_portable(&file.name) && file.name.len() == module.len() + 5 && file.name.starts_with(module);
    Ok(with(KernelDisk::list)?.files.into_iter().find(is_it))
}

/// Returns whether a file is named as a portable module is.
#[cfg(feature = "portable")]
fn is_portable(name: &str) -> bool {
    let ending = name.len().checked_sub(5).and_then(|start| name.get(start..));
    !name.starts_with("._") && ending.is_some_and(|ending| ending.eq_ignore_ascii_case(".wasm"))
}

/// Returns the files of the folder `path`, and the error that kept the rest from being read.
///
/// # Errors
/// When `path` is not the folder of the modules, or none of its files can be listed.
pub fn list(path: &str) -> Result<Listing, ErrorText> {
    if path.trim_end_matches('/') != FOLDER {
        let found = if path.is_empty() { "an empty path" } else { path };
        return Err(error_text!("{}: only {FOLDER} is looked into; ask for that", Printable(found.as_bytes())));
    }
    let listing = with(KernelDisk::list)?;
    match listing.cut {
        Some(error) if listing.files.is_empty() => Err(error_text!("{error}")),
        _ => Ok(listing),
    }
}

/// Returns the identity of the module in `file`, as its header gives it.
///
/// # Errors
/// When there is no disk, or no memory for the name.
pub fn identify(file: &File) -> Result<Option<Identity>, ErrorText> {
    with(|disk| disk.identify(file))
}

/// Returns the bytes of the file at `path`, or, if `path` is a module's name, of the newest file of that module.
///
/// # Errors
/// When there is no disk or no such file, or the file can't be read.
pub fn read(path: &str) -> Result<Vec<u8>, ErrorText> {
    let shown = Printable(path.as_bytes());
    if !path.contains('/') {
        let found = with(|disk| disk.find(path))?;
        #[cfg(feature = "portable")]
        let found = match found {
            Some(file) => Some(file),
            None => find_portable(path)?,
        };
        let file = found.ok_or_else(|| error_text!("{shown}: no file of a module of that name; see `ls`"))?;
        return with(|disk| disk.read(&file)).map_err(|error| error_text!("{shown}: {error}"));
    }
    // FAT ignores the case of letters.
    let name = match path.split_at_checked(FOLDER.len() + 1) {
        Some((folder, name)) if folder.trim_end_matches('/').eq_ignore_ascii_case(FOLDER) => name,
        _ => return Err(error_text!("{shown}: no such file, expected {FOLDER}/NAME.mod; see `ls`")),
    };
    let Listing { files, cut } = list(FOLDER)?;
    let file = files.iter().find(|file| file.name.eq_ignore_ascii_case(name));
    let file = file.ok_or_else(|| match cut {
        None => error_text!("{shown}: no such file; see `ls`"),
        Some(error) => error_text!("{shown}: not in the part of {FOLDER} that can be read: {error}"),
    })?;
    with(|disk| disk.read(file)).map_err(|error| error_text!("{shown}: {error}"))
}

/// Writes the blob of module `name`, and returns the path of its file.
///
/// # Errors
/// When there is no disk, or the blob can't be written.
pub fn save(name: &str, blob: &[u8]) -> Result<String, ErrorText> {
    with(|disk| disk.save(name, blob)).map(|saved| saved.path)
}

fn with<T>(work: impl FnOnce(&mut KernelDisk) -> Result<T, DiskError>) -> Result<T, ErrorText> {
    with_disk(|disk| match disk {
        Ok(disk) => work(disk).map_err(|error| error_text!("{error}")),
        Err(error) => Err(error_text!("{error}")),
    })
}
