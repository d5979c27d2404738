//! Tests of memory that runs out at every allocation.
//!
//! The first, the second, and so on to the last allocation of a request fails. Each time, the error says so, and the
//! disk is unchanged.
//!
//! An allocation that can't report failure would end this process, which reveals it.

#[path = "../../../tests/common/failing.rs"]
mod failing;

use std::fmt::Debug;
use std::io::Cursor;

use bareflow_abi::header::{Header, MAGIC, checksum_of};
use bareflow_disk::{BlockDevice, DeviceError, Disk, DiskError, SECTOR_SIZE};
use hadris_fat::format::{FatFormatOptions, FatTypeSelection, FatVolumeFormatter};
use hadris_fat::{FatVolume, FatVolumeWriteExt};

use failing::LEFT;

/// A disk in memory that allocates nothing.
struct Memory {
    bytes: Vec<u8>,
    writes: usize,
}

impl BlockDevice for &mut Memory {
    fn sectors(&self) -> u64 {
        (self.bytes.len() / SECTOR_SIZE) as u64
    }

    fn read(&mut self, first: u64, into: &mut [u8]) -> Result<(), DeviceError> {
        into.copy_from_slice(&self.bytes[first as usize * SECTOR_SIZE..][..into.len()]);
        Ok(())
    }

    fn write(&mut self, first: u64, from: &[u8]) -> Result<(), DeviceError> {
        self.writes += 1;
        self.bytes[first as usize * SECTOR_SIZE..][..from.len()].copy_from_slice(from);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DeviceError> {
        Ok(())
    }
}

fn blob(module: &str, version: u32, length: usize) -> Vec<u8> {
    let mut header = Header { magic: MAGIC, version_major: version, ..Header::default() };
    header.name[..module.len()].copy_from_slice(module.as_bytes());
    let mut bytes = header.to_bytes().to_vec();
    bytes.resize(length, version as u8);
    header.checksum = checksum_of(&bytes).unwrap();
    bytes[..128].copy_from_slice(&header.to_bytes());
    bytes
}

/// Returns a file system on a whole disk, with many files of all kinds.
fn image() -> Vec<u8> {
    let mut bytes = vec![0; 8300 * SECTOR_SIZE];
    let options = FatFormatOptions::new(bytes.len() as u64).fat_type(FatTypeSelection::Fat16).sectors_per_cluster(1);
    drop(FatVolumeFormatter::format(Cursor::new(&mut bytes[..]), options).unwrap());
    let volume = FatVolume::builder(Cursor::new(&mut bytes[..])).open().unwrap();
    let folder = volume.create_dir(&volume.root_dir(), "modules").unwrap();
    let mut files = vec![
        ("sum.mod".to_owned(), blob("sum", 1, 3000)),
        ("sum of another version.mod".to_owned(), blob("sum", 2, 2000)),
        ("a name with spaces and a \u{fc}, longer than two entries.mod".to_owned(), blob("echo", 1, 700)),
        ("none.mod".to_owned(), b"no blob".to_vec()),
        ("refused.mod".to_owned(), blob("refused", 1, 300)),
    ];
    files.extend((0..20).map(|number| (format!("{number}.mod"), blob(&format!("module-{number}"), 1, 200))));
    for (name, bytes) in &files {
        let mut writer = volume.write_file(&volume.create_file(&folder, name).unwrap()).unwrap();
        let mut written = 0;
        while written < bytes.len() {
            written += writer.write(&bytes[written..]).unwrap();
        }
        writer.finish().unwrap();
    }
    drop(volume);
    bytes
}

/// A validator that refuses one module, with an error that needs no memory.
fn validate(blob: &[u8]) -> Result<(), &'static str> {
    let is_refused = blob.windows(7).any(|window| window == b"refused");
    if is_refused { Err("refused as was asked for") } else { Ok(()) }
}

/// Makes each allocation of `request` fail once. Returns the outcome without a failure, and the number of allocations.
fn exhaust<T: Debug>(
    base: &[u8],
    mut request: impl FnMut(&mut Disk<&mut Memory>) -> Result<T, DiskError>,
    may_go_on: impl Fn(&T) -> bool,
) -> (T, u64) {
    for allowed in 0..10_000 {
        let mut memory = Memory { bytes: base.to_vec(), writes: 0 };
        let mut disk = Disk::open(&mut memory).unwrap();
        LEFT.set(Some(allowed));
        let found = request(&mut disk);
        let failed = LEFT.replace(None).is_none();
        match found {
            Ok(found) if !failed => return (found, allowed),
            Ok(found) => assert!(may_go_on(&found), "allocation {allowed}: {found:?}"),
            Err(DiskError::OutOfMemory { .. }) if failed => {
                assert!(memory.writes == 0 && memory.bytes == base, "allocation {allowed}: the disk was changed");
            }
            Err(error) => panic!("allocation {allowed}: {error}"),
        }
    }
    panic!("there is no end of allocations");
}

#[test]
fn listing_takes_no_memory_that_may_not_be_missing() {
    let (listing, allocations) = exhaust(&image(), |disk| disk.list(), |_| false);
    assert_eq!((listing.files.len(), listing.cut), (25, None));
    assert!(allocations >= 25);
}

#[test]
fn reading_takes_no_memory_that_may_not_be_missing() {
    let base = image();
    let mut memory = Memory { bytes: base.clone(), writes: 0 };
    let files = Disk::open(&mut memory).unwrap().list().unwrap().files;
    let (bytes, allocations) = exhaust(&base, |disk| disk.read(&files[0]), |_| false);
    assert_eq!((bytes, allocations), (blob("sum", 1, 3000), 2));
}

#[test]
fn selecting_refuses_what_there_is_no_memory_for() {
    let (selection, allocations) = exhaust(
        &image(),
        |disk| disk.select(validate),
        // Only a file that can't be read for lack of memory is refused.
        |selection| selection.refused.iter().any(|refused| refused.error.starts_with("no memory for ")),
    );
    let chosen: Vec<_> = selection.chosen.iter().map(|chosen| chosen.module.as_str()).collect();
    assert_eq!((chosen.len(), chosen[0], *chosen.last().unwrap()), (22, "echo", "sum"));
    assert_eq!((selection.refused.len(), selection.superseded.len()), (2, 1), "{selection:?}");
    assert!(allocations > 100, "{allocations}");
}

#[test]
fn finding_a_module_takes_no_memory_that_may_not_be_missing() {
    let (file, allocations) = exhaust(&image(), |disk| disk.find("sum"), |_| false);
    assert_eq!(file.unwrap().name, "sum of another version.mod", "the newest, or else the highest version");
    assert!(allocations > 40, "{allocations}");
    let (none, _) = exhaust(&image(), |disk| disk.find("nobody"), |_| false);
    assert_eq!(none, None);
}

#[test]
fn saving_changes_nothing_where_memory_runs_out() {
    let base = image();
    for blob in [blob("sum", 3, 5000), blob("sum", 1, 3000), blob("new", 1, 900)] {
        let module = if blob.windows(3).any(|window| window == b"new") { "new" } else { "sum" };
        let (saved, allocations) = exhaust(&base, |disk| disk.save(module, &blob), |_| false);
        assert_eq!(saved.bytes, blob.len() as u64);
        assert!(saved.path.starts_with("/modules/") && allocations > 10, "{saved:?}");
    }
    let wrong = blob("sum", 3, 500);
    let is_memory = |error: &DiskError| matches!(error, DiskError::OutOfMemory { .. });
    let (error, _) = exhaust(&base, |disk| Ok(disk.save("other", &wrong).unwrap_err()), is_memory);
    assert_eq!(error, DiskError::NotThatModule { expected: "other".to_owned() });
}

#[test]
fn values_change_nothing_where_memory_runs_out() {
    let mut memory = Memory { bytes: image(), writes: 0 };
    let mut disk = Disk::open(&mut memory).unwrap();
    disk.put_value("key", &[1; 900]).unwrap();
    disk.put_value("other", &[2; 9]).unwrap();
    let base = memory.bytes;
    for key in ["key", "new"] {
        let ((), allocations) = exhaust(&base, |disk| disk.put_value(key, &[3; 1500]), |()| false);
        assert!(allocations > 10, "{allocations}");
    }
    assert_eq!(exhaust(&base, |disk| disk.value("key", 5000), |_| false).0, Some(vec![1; 900]));
    assert_eq!(exhaust(&base, |disk| disk.value_length("key"), |_| false).0, Some(900));
    assert_eq!(exhaust(&base, |disk| disk.keys(), |_| false).0, ["key", "other"]);
    assert!(exhaust(&base, |disk| disk.remove_value("key"), |_| false).0);
}
