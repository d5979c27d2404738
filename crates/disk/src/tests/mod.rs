//! Shared parts of the tests: disks in memory, made by another implementation of FAT, and blobs.

mod mutations;
mod power;
mod reading;
mod saving;
mod selecting;
mod values;

use std::boxed::Box;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use bareflow_abi::header::{Header, MAGIC, checksum_of};
use hadris_fat::format::{FatFormatOptions, FatTypeSelection, FatVolumeFormatter};
use hadris_fat::time::EpochTimeProvider;
use hadris_fat::{FatVolume, FatVolumeWriteExt};

use crate::{BlockDevice, DeviceError, Disk, SECTOR_SIZE, Selection};

/// The start of the partition, in sectors.
const START: usize = 2048;

/// A kind of file system, and the number of sectors of a small disk with it.
type Kind = (FatTypeSelection, usize);

/// The two kinds.
const KINDS: [Kind; 2] = [(FatTypeSelection::Fat16, START + 8300), (FatTypeSelection::Fat32, START + 67200)];

/// A request that changes a device.
#[derive(Clone, Debug)]
enum Event {
    /// This sector was written.
    Write(u64, Box<[u8; SECTOR_SIZE]>),
    /// All earlier writes are permanent.
    Flush,
}

/// A disk in memory: a shared base, and the sectors written since.
#[derive(Clone, Debug)]
struct Memory<'base> {
    base: &'base [u8],
    written: BTreeMap<u64, [u8; SECTOR_SIZE]>,
    events: Vec<Event>,
    /// The sector that can't be read or written.
    broken: Option<u64>,
    /// The number of reads and writes so far.
    requests: usize,
}

impl<'base> Memory<'base> {
    fn new(base: &'base [u8]) -> Memory<'base> {
        Memory { base, written: BTreeMap::new(), events: Vec::new(), broken: None, requests: 0 }
    }

    fn sector(&self, number: u64) -> [u8; SECTOR_SIZE] {
        let base = || self.base[number as usize * SECTOR_SIZE..][..SECTOR_SIZE].try_into().unwrap();
        self.written.get(&number).copied().unwrap_or_else(base)
    }

    /// Returns the bytes of the whole disk.
    fn bytes(&self) -> Vec<u8> {
        (0..self.sectors()).flat_map(|number| self.sector(number)).collect()
    }

    /// Returns the same disk with only `events` applied.
    fn with<'event>(&self, events: impl IntoIterator<Item = &'event Event>) -> Memory<'base> {
        let mut memory = Memory::new(self.base);
        for event in events {
            if let Event::Write(number, bytes) = event {
                memory.written.insert(*number, **bytes);
            }
        }
        memory
    }

    fn check(&mut self, first: u64, length: usize) -> Result<(), DeviceError> {
        assert_eq!(length % SECTOR_SIZE, 0);
        self.requests += 1;
        let sectors = first..first + (length / SECTOR_SIZE) as u64;
        assert!(sectors.end <= self.sectors(), "{sectors:?} lies outside the disk");
        match self.broken {
            Some(broken) if sectors.contains(&broken) => Err(DeviceError { reason: "broken" }),
            _ => Ok(()),
        }
    }
}

impl BlockDevice for Memory<'_> {
    fn sectors(&self) -> u64 {
        (self.base.len() / SECTOR_SIZE) as u64
    }

    fn read(&mut self, first: u64, into: &mut [u8]) -> Result<(), DeviceError> {
        self.check(first, into.len())?;
        for (number, part) in (first..).zip(into.chunks_mut(SECTOR_SIZE)) {
            part.copy_from_slice(&self.sector(number));
        }
        Ok(())
    }

    fn write(&mut self, first: u64, from: &[u8]) -> Result<(), DeviceError> {
        self.check(first, from.len())?;
        for (number, part) in (first..).zip(from.chunks(SECTOR_SIZE)) {
            let part = part.try_into().unwrap();
            self.written.insert(number, part);
            self.events.push(Event::Write(number, Box::new(part)));
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DeviceError> {
        self.events.push(Event::Flush);
        Ok(())
    }
}

/// Makes a disk with a partition and `files` in `/modules`.
fn image(kind: Kind, files: &[(&str, &[u8])]) -> Vec<u8> {
    image_with(kind, "modules", files)
}

/// Makes a disk with a partition and `files` in `folder`. A name that ends in `/` is a folder's.
fn image_with((kind, sectors): Kind, folder: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let length = ((sectors - START) * SECTOR_SIZE) as u64;
    let mut partition = vec![0; length as usize];
    let options = FatFormatOptions::new(length).fat_type(kind).sectors_per_cluster(1).volume_id(1);
    drop(FatVolumeFormatter::format(Cursor::new(&mut partition[..]), options).unwrap());
    let volume = FatVolume::builder(Cursor::new(&mut partition[..])).time_provider(&EpochTimeProvider).open().unwrap();
    let folder = volume.create_dir(&volume.root_dir(), folder).unwrap();
    for (name, bytes) in files {
        if let Some(name) = name.strip_suffix('/') {
            volume.create_dir(&folder, name).unwrap();
            continue;
        }
        let mut writer = volume.write_file(&volume.create_file(&folder, name).unwrap()).unwrap();
        let mut written = 0;
        while written < bytes.len() {
            written += writer.write(&bytes[written..]).unwrap();
        }
        writer.finish().unwrap();
    }
    drop(volume);
    let mut bytes = vec![0; START * SECTOR_SIZE];
    bytes[446 + 4] = 0x0e;
    bytes[446 + 8..][..4].copy_from_slice(&(START as u32).to_le_bytes());
    bytes[446 + 12..][..4].copy_from_slice(&((sectors - START) as u32).to_le_bytes());
    bytes[510..][..2].copy_from_slice(&[0x55, 0xaa]);
    bytes.extend(partition);
    bytes
}

/// Returns a blob of `module`, with the given version and length and a correct checksum.
fn blob(module: &str, version: u32, length: usize) -> Vec<u8> {
    let mut header = Header { magic: MAGIC, version_major: version, ..Header::default() };
    header.name[..module.len()].copy_from_slice(module.as_bytes());
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend((bytes.len()..length).map(|index| (index as u32 * 7 + version) as u8));
    header.checksum = checksum_of(&bytes).unwrap();
    bytes[..128].copy_from_slice(&header.to_bytes());
    bytes
}

/// Accepts blobs whose checksum is correct.
fn validate(blob: &[u8]) -> Result<(), String> {
    let header = blob.first_chunk().map(Header::from_bytes).ok_or("too short")?;
    if checksum_of(blob) == Some(header.checksum) { Ok(()) } else { Err("checksum mismatch".to_string()) }
}

/// Returns the modules on a disk as text, each with its version and length.
fn modules<D: BlockDevice>(disk: &mut Disk<D>) -> (Vec<String>, Selection) {
    let selection = disk.select(validate).unwrap();
    let chosen = selection.chosen.iter().map(|chosen| {
        let bytes = disk.read(&chosen.file).unwrap();
        let version = Header::from_bytes(bytes.first_chunk().unwrap()).version_major;
        format!("{} {version} {}", chosen.module, bytes.len())
    });
    (chosen.collect(), selection)
}

/// Returns whether `fsck.vfat -n` finds nothing wrong with the partition, and its output.
fn fsck(disk: &Memory<'_>) -> (bool, String) {
    let name = format!("bareflow-disk-{}-{:?}.img", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, &disk.bytes()[START * SECTOR_SIZE..]).unwrap();
    // Debian installs it outside of ordinary users' paths.
    let programs = ["fsck.vfat", "/usr/sbin/fsck.vfat", "/sbin/fsck.vfat"];
    let run = |program| std::process::Command::new(program).arg("-n").arg(&path).output().ok();
    let output = programs.into_iter().find_map(run).expect("fsck.vfat is missing; run `make setup`");
    std::fs::remove_file(&path).unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}
