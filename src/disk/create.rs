//! The `disk create` command: makes an image with a partition table, a file system and modules. The same files give the
//! same image.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use bareflow_disk::{MAX_FILE_SIZE, MODULES};
use hadris_fat::format::{FatFormatOptions, FatTypeSelection, FatVolumeFormatter};
use hadris_fat::time::EpochTimeProvider;
use hadris_fat::{FatVolume, FatVolumeWriteExt};
use tempfile::NamedTempFile;

use super::image::{PARTITION_START, Partition};
use super::options::{CreateOptions, Fat};
use crate::{Exit, say};

/// The size of a sector, in bytes.
const SECTOR: u64 = 512;

/// The smallest default size of an image, and the largest default size with FAT16, in bytes.
const USUAL_SIZE: u64 = 64 << 20;
const FAT16_SIZE: u64 = 512 << 20;

/// The sizes that images of each kind may have, in bytes.
const FAT16_RANGE: std::ops::RangeInclusive<u64> = 8 << 20..=2 << 30;
const FAT32_RANGE: std::ops::RangeInclusive<u64> = 40 << 20..=64 << 30;

/// The volume's serial number: "BARE".
const VOLUME_ID: u32 = 0x4241_5245;

/// A file for the image: its name and its bytes.
pub(crate) struct Content {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Makes the image. On an error, nothing is left.
pub fn create(options: &CreateOptions) -> Result<Exit> {
    let path = &options.image;
    ensure!(
        options.force || !path.exists(),
        "{} is there already; choose another name or add `--force`",
        path.display()
    );
    ensure!(
        !path.exists() || path.is_file(),
        "{} is no regular file, which an image can't take the place of; choose another name",
        path.display()
    );
    ensure!(
        options.empty || !options.files.is_empty(),
        "no file is named; name the .mod files for the disk, or add `--empty` for one without any"
    );
    let contents = read_all(&options.files)?;
    let sum: u64 = contents.iter().map(|content| content.bytes.len() as u64).sum();
    let size = options.size.unwrap_or_else(|| size_for(sum));
    let fat = options.fat.unwrap_or(if size > FAT16_SIZE { Fat::Fat32 } else { Fat::Fat16 });
    check_size(size, fat)?;
    let can_not = |error: &dyn std::fmt::Display| -> Error {
        anyhow!("can't make {}: {error}; check the folder and `--size`", path.display())
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let image = NamedTempFile::new_in(folder).map_err(|error| can_not(&error))?;
    write(image.as_file(), size, fat, &contents).map_err(|error| can_not(&error))?;
    // As for any new file; the temporary file is readable only by its owner.
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    image.as_file().set_permissions(permissions).map_err(|error| can_not(&error))?;
    let persisted = if options.force { image.persist(path) } else { image.persist_noclobber(path) };
    persisted.map_err(|error| can_not(&error.error))?;
    let kind = if fat == Fat::Fat16 { "FAT16" } else { "FAT32" };
    say!("made {}: {kind}, {} MiB, {} in /modules", path.display(), size >> 20, contents.len());
    Ok(Exit::Passed)
}

/// Makes a temporary disk image with `contents` in /modules. It is deleted when the returned file is dropped.
///
/// # Errors
/// When it can't be made.
pub(crate) fn temporary(contents: &[Content]) -> Result<NamedTempFile> {
    let size = size_for(contents.iter().map(|content| content.bytes.len() as u64).sum());
    let image = NamedTempFile::new()?;
    write(image.as_file(), size, if size > FAT16_SIZE { Fat::Fat32 } else { Fat::Fat16 }, contents)?;
    Ok(image)
}

/// Returns the default size of an image for files of `sum` bytes in all.
fn size_for(sum: u64) -> u64 {
    USUAL_SIZE.max((sum * 2).next_multiple_of(1 << 20))
}

/// Makes `file` an image with `contents` in /modules.
fn write(mut file: &fs::File, size: u64, fat: Fat, contents: &[Content]) -> Result<()> {
    file.set_len(size)?;
    file.write_all(&partition_table(size, fat))?;
    fill(file, size, fat, contents)
}

/// Reads the files, and returns their names in the image and their bytes.
fn read_all(paths: &[PathBuf]) -> Result<Vec<Content>> {
    let mut contents: Vec<Content> = Vec::new();
    for path in paths {
        let shown = path.display();
        let length =
            fs::metadata(path).map_err(|error| anyhow!("can't read {shown}: {error}; name a .mod file"))?.len();
        ensure!(length <= MAX_FILE_SIZE, "{shown} has {length} bytes, expected {MAX_FILE_SIZE} at the most; pack less");
        let bytes = fs::read(path).map_err(|error| anyhow!("can't read {shown}: {error}; name a .mod file"))?;
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .filter(|name| name.ends_with(".mod") || name.ends_with(".wasm"));
        let name = name.with_context(|| {
            format!("{shown} is no name of a module's file, expected NAME.mod or NAME.wasm; rename it")
        })?;
        if contents.iter().any(|content| content.name.eq_ignore_ascii_case(name)) {
            bail!("{name} is named twice, expected each name once; rename one of the files");
        }
        contents.push(Content { name: name.to_owned(), bytes });
    }
    Ok(contents)
}

fn check_size(size: u64, fat: Fat) -> Result<()> {
    let (name, range) = match fat {
        Fat::Fat16 => ("FAT16", FAT16_RANGE),
        Fat::Fat32 => ("FAT32", FAT32_RANGE),
    };
    if range.contains(&size) {
        return Ok(());
    }
    let (least, most) = (range.start() >> 20, range.end() >> 20);
    let found = size >> 20;
    Err(anyhow!("{found} MiB, expected {least} to {most} for {name}; choose another `--size` or `--fat`"))
}

/// Returns the first sector, with one partition from 1 MiB to the end.
fn partition_table(size: u64, fat: Fat) -> [u8; SECTOR as usize] {
    let mut sector = [0; SECTOR as usize];
    let (start, sectors) = (PARTITION_START / SECTOR, (size - PARTITION_START) / SECTOR);
    // `check_size` keeps both below 2^32. Addresses by cylinder can't express such positions and get the maximum.
    let place = [0xfe, 0xff, 0xff];
    let kind = if fat == Fat::Fat16 { 0x0e } else { 0x0c };
    let mut entry = vec![0];
    entry.extend(place);
    entry.push(kind);
    entry.extend(place);
    entry.extend((start as u32).to_le_bytes());
    entry.extend((sectors as u32).to_le_bytes());
    sector[446..462].copy_from_slice(&entry);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

/// Formats the partition and writes the files.
fn fill(file: &fs::File, size: u64, fat: Fat, contents: &[Content]) -> Result<()> {
    let length = size - PARTITION_START;
    let kind = if fat == Fat::Fat16 { FatTypeSelection::Fat16 } else { FatTypeSelection::Fat32 };
    let options =
        FatFormatOptions { hidden_sectors: (PARTITION_START / SECTOR) as u32, ..FatFormatOptions::new(length) };
    let options = options.fat_type(kind).sectors_per_cluster(cluster_sectors(length, fat)).volume_id(VOLUME_ID);
    drop(FatVolumeFormatter::format(Partition::new(file, length), options)?);
    let partition = Partition::new(file, length);
    let volume = FatVolume::builder(partition).time_provider(&EpochTimeProvider).open()?;
    let folder = volume.create_dir(&volume.root_dir(), MODULES)?;
    for Content { name, bytes } in contents {
        let mut writer = volume.write_file(&volume.create_file(&folder, name)?)?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let written = writer.write(rest)?;
            ensure!(written > 0, "no room for {name}");
            rest = rest.get(written..).unwrap_or_default();
        }
        writer.finish()?;
    }
    Ok(())
}

/// Returns the sectors of a cluster.
///
/// For FAT16, the fewest that give a permitted number of clusters; for FAT32 eight, or fewer if that would give too few
/// clusters.
fn cluster_sectors(length: u64, fat: Fat) -> u8 {
    let sectors = length / SECTOR;
    let fits = |&count: &u8| match fat {
        Fat::Fat16 => sectors / u64::from(count) < 65_000,
        Fat::Fat32 => sectors / u64::from(count) > 68_000,
    };
    match fat {
        Fat::Fat16 => [1, 2, 4, 8, 16, 32].into_iter().find(fits).unwrap_or(64),
        Fat::Fat32 => [8, 4, 2].into_iter().find(fits).unwrap_or(1),
    }
}
