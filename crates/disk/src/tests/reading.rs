//! Reading of sound disks, and of disks with each kind of damage.

use std::string::ToString;
use std::vec::Vec;

use super::{KINDS, Memory, START, blob, image, image_with};
use crate::{DeviceError, Disk, DiskError, MAX_FILE_SIZE, MAX_FILES, SECTOR_SIZE};

/// Opens `base` after `change`, which must fail.
fn open_error(kind: usize, change: impl FnOnce(&mut [u8])) -> DiskError {
    let mut base = image(KINDS[kind], &[]);
    change(&mut base);
    Disk::open(Memory::new(&base)).map(|_| ()).unwrap_err()
}

/// Opens a disk after a change of the boot sector, and returns the field that was refused.
fn boot_error(kind: usize, offset: usize, bytes: &[u8]) -> &'static str {
    let error = open_error(kind, |base| base[START * SECTOR_SIZE + offset..][..bytes.len()].copy_from_slice(bytes));
    assert!(error.to_string().contains("expected"), "{error}");
    match error {
        DiskError::BootSector { field, .. } => {
            assert!(error.to_string().contains("fsck.vfat"), "{error}");
            field
        }
        DiskError::Unsupported { field, .. } => {
            assert!(!error.to_string().contains("damaged"), "{error}");
            field
        }
        error => panic!("{error}"),
    }
}

/// Returns the offset in the image of the table's entry for the file's first cluster, and the cluster.
fn table_entry(base: &[u8], kind: usize) -> (usize, u32) {
    let disk = &mut Disk::open(Memory::new(base)).unwrap();
    let cluster = disk.list().unwrap().files.iter().find(|file| file.name == "sum.mod").unwrap().first_cluster;
    let size = [2, 4][kind];
    (disk.layout.table as usize * SECTOR_SIZE + cluster as usize * size, cluster)
}

/// Returns the error of reading `sum.mod` after a change of its first cluster's entry. Other files must still be
/// readable.
fn chain_error(kind: usize, value: impl FnOnce(u32) -> u32) -> DiskError {
    let mut base = image(KINDS[kind], &[("sum.mod", &blob("sum", 1, 1200)), ("other.mod", &blob("other", 1, 1200))]);
    let (offset, cluster) = table_entry(&base, kind);
    let bytes = value(cluster).to_le_bytes();
    base[offset..][..[2, 4][kind]].copy_from_slice(&bytes[..[2, 4][kind]]);
    let mut disk = Disk::open(Memory::new(&base)).unwrap();
    let files = disk.list().unwrap().files;
    assert_eq!(disk.read(&files[1]).unwrap(), blob("other", 1, 1200));
    disk.read(&files[0]).unwrap_err()
}

#[test]
fn lists_and_reads_what_another_implementation_wrote() {
    for kind in KINDS {
        let long = blob("all-in-one", 1, 70_001);
        let name = "a name with spaces and a \u{fc}, longer than two entries.mod";
        let files: [(&str, &[u8]); 4] =
            [("all-in-one.mod", &long), ("SHORT.MOD", b"x"), (name, &[7; 512]), ("empty", b"")];
        let base = image(kind, &files);
        let mut disk = Disk::open(Memory::new(&base)).unwrap();
        assert_eq!(disk.kind(), ["FAT16", "FAT32"][usize::from(kind == KINDS[1])]);
        let listing = disk.list().unwrap();
        assert_eq!(listing.cut, None);
        assert_eq!(listing.files.len(), files.len());
        for (file, (name, bytes)) in listing.files.iter().zip(files) {
            assert_eq!((&*file.name, file.bytes, file.folder), (name, bytes.len() as u64, false));
            assert_eq!(disk.read(file).unwrap(), bytes);
        }
    }
}

#[test]
fn rejects_damaged_partition_tables() {
    assert_eq!(open_error(0, |base| base[510] = 0), DiskError::NoPartitionTable { found: 0xaa00 });
    assert_eq!(open_error(0, |base| base[446 + 4] = 0xee), DiskError::GuidPartitionTable);
    assert_eq!(open_error(0, |base| base[446 + 4] = 0x83), DiskError::NoPartition { found: [0x83, 0, 0, 0] });
    let disk = KINDS[0].1 as u64;
    let sectors = disk - START as u64;
    let error = open_error(0, |base| base[446 + 8] = 1);
    assert_eq!(error, DiskError::PartitionOutside { start: START as u64 + 1, sectors, disk });
    let error = open_error(0, |base| base[446 + 8..][..8].fill(0xff));
    assert!(matches!(error, DiskError::PartitionOutside { .. }), "{error}");
}

#[test]
fn rejects_damaged_boot_sectors() {
    assert_eq!(boot_error(0, 510, &[0]), "the mark at its end");
    assert_eq!(boot_error(0, 11, &[0, 16]), "bytes of a sector");
    assert_eq!(boot_error(0, 13, &[0]), "sectors of a cluster");
    assert_eq!(boot_error(0, 13, &[3]), "sectors of a cluster");
    assert_eq!(boot_error(0, 14, &[0, 0]), "reserved sectors");
    assert_eq!(boot_error(0, 16, &[3]), "number of tables");
    assert_eq!(boot_error(0, 19, &[0xff, 0xff]), "sectors");
    assert_eq!(boot_error(0, 19, &[9, 0]), "sectors");
    assert_eq!(boot_error(0, 22, &[1, 0]), "entries of a table");
    assert_eq!(boot_error(0, 17, &[1, 0]), "entries of the root");
    assert_eq!(boot_error(0, 17, &[0, 0]), "entries of the root");
    assert_eq!(boot_error(0, 13, &[4]), "number of clusters");
    assert_eq!(boot_error(1, 36, &[0; 4]), "sectors of a table");
    assert_eq!(boot_error(1, 17, &[16, 0]), "entries of the root");
    assert_eq!(boot_error(1, 40, &[0x80, 0]), "flags of the tables");
    assert_eq!(boot_error(1, 42, &[1, 0]), "version");
    assert_eq!(boot_error(1, 44, &[0; 4]), "first cluster of the root");
}

#[test]
fn rejects_damaged_chains() {
    for kind in [0, 1] {
        let highest = |error| matches!(error, DiskError::ClusterOutside { highest, .. } if highest > 4085);
        assert_eq!(chain_error(kind, |_| u32::MAX), DiskError::ChainTooShort { found: 1, expected: 3 });
        assert_eq!(chain_error(kind, |cluster| cluster), DiskError::ChainTooLong { expected: 3 });
        assert!(matches!(chain_error(kind, |_| 0), DiskError::ClusterUnused { .. }));
        assert!(highest(chain_error(kind, |_| 1)));
        assert!(highest(chain_error(kind, |_| [0xfff0, 0x0fff_fff0][kind])));
        assert!(highest(chain_error(kind, |_| [0xfff7, 0x0fff_fff7][kind])), "a bad cluster");
    }
}

#[test]
fn rejects_entries_that_lead_outside() {
    let mut base = image(KINDS[1], &[("sum.mod", &blob("sum", 1, 200))]);
    let entry = base.windows(11).position(|window| window == b"SUM     MOD").unwrap();
    base[entry + 20..][..2].fill(0xff);
    let mut disk = Disk::open(Memory::new(&base)).unwrap();
    let file = disk.list().unwrap().files.remove(0);
    assert!(matches!(file.problem, Some(DiskError::ClusterOutside { .. })));
    assert_eq!(disk.read(&file).err(), file.problem);
}

#[test]
fn rejects_files_that_are_too_large() {
    let mut base = image(KINDS[0], &[("sum.mod", &blob("sum", 1, 200))]);
    let entry = base.windows(11).position(|window| window == b"SUM     MOD").unwrap();
    base[entry + 28..][..4].fill(0xff);
    let mut disk = Disk::open(Memory::new(&base)).unwrap();
    let file = disk.list().unwrap().files.remove(0);
    assert_eq!(disk.read(&file), Err(DiskError::TooLarge { found: u64::from(u32::MAX) }));
    assert!(u64::from(u32::MAX) > MAX_FILE_SIZE);
}

#[test]
fn rejects_disks_without_the_folder() {
    let base = image_with(KINDS[0], "other", &[("modules", b"a file")]);
    let mut disk = Disk::open(Memory::new(&base)).unwrap();
    assert_eq!(disk.list(), Err(DiskError::NoModulesFolder));
    assert_eq!(disk.save("sum", &blob("sum", 1, 200)), Err(DiskError::NoModulesFolder));
}

#[test]
fn rejects_folders_that_loop_or_are_too_long() {
    let names: Vec<_> = (0..16 * 20).map(|number| std::format!("{number}.TXT")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let mut base = image(KINDS[0], &files);
    let mut disk = Disk::open(Memory::new(&base)).unwrap();
    let crate::layout::Folder::Chain { cluster } = disk.modules().unwrap() else { unreachable!() };
    let offset = disk.layout.table as usize * SECTOR_SIZE + cluster as usize * 2;
    base[offset..][..2].copy_from_slice(&(cluster as u16).to_le_bytes());
    let mut disk = Disk::open(Memory::new(&base)).unwrap();
    let listing = disk.list().unwrap();
    assert_eq!((listing.cut, listing.files.len()), (Some(DiskError::TooManyFiles), MAX_FILES));
    assert_eq!(disk.save("sum", &blob("sum", 1, 200)), Err(DiskError::TooManyFiles));
    // A loop through free entries only.
    let first = disk.layout.sector_of(cluster).unwrap() as usize * SECTOR_SIZE;
    base[first..][..SECTOR_SIZE].fill(0xe5);
    let listing = Disk::open(Memory::new(&base)).unwrap().list().unwrap();
    assert_eq!((listing.cut, listing.files.len()), (Some(DiskError::FolderTooLong), 0));
}

#[test]
fn rejects_what_the_device_can_not_read() {
    let base = image(KINDS[0], &[("sum.mod", &blob("sum", 1, 1200)), ("other.mod", &blob("other", 1, 200))]);
    let mut disk = Disk::open(Memory::new(&base)).unwrap();
    let files = disk.list().unwrap().files;
    let sector = disk.layout.sector_of(files[0].first_cluster).unwrap();
    disk.device.broken = Some(sector);
    let broken = DeviceError { reason: "broken" };
    assert_eq!(disk.read(&files[0]), Err(DiskError::Device { action: "read", sector, error: broken }));
    assert_eq!(super::modules(&mut disk).0, ["other 1 200"]);
    let mut memory = Memory::new(&base);
    memory.broken = Some(0);
    let error = Disk::open(memory).map(|_| ()).unwrap_err();
    assert_eq!(error, DiskError::Device { action: "read", sector: 0, error: broken });
}

#[test]
fn what_is_no_damage_is_not_called_so() {
    for (offset, bytes) in [(11, &4096_u16.to_le_bytes()[..]), (16, &[3])] {
        let change = |base: &mut [u8]| base[START * SECTOR_SIZE + offset..][..bytes.len()].copy_from_slice(bytes);
        let error = open_error(0, change);
        assert!(matches!(error, DiskError::Unsupported { .. }), "{error}");
    }
}

/// Returns the disk that `mkfs.vfat` makes with `sectors` sectors, after `before` empty ones.
fn made_by_mkfs(kind: &str, sectors: usize, before: usize) -> Option<Vec<u8>> {
    let name = std::format!("bareflow-mkfs-{}-{kind}-{before}.img", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::File::create(&path).unwrap().set_len((sectors * SECTOR_SIZE) as u64).unwrap();
    let programs = ["mkfs.vfat", "/usr/sbin/mkfs.vfat", "/sbin/mkfs.vfat"];
    let run = |program| std::process::Command::new(program).args(["-F", kind]).arg(&path).output().ok();
    let output = programs.into_iter().find_map(run)?;
    assert!(output.status.success(), "{}", std::string::String::from_utf8_lossy(&output.stderr));
    let mut bytes = std::vec![0; before * SECTOR_SIZE];
    bytes.extend(std::fs::read(&path).unwrap());
    std::fs::remove_file(path).unwrap();
    Some(bytes)
}

/// Opens a disk by `mkfs.vfat`, which has no folder yet: this error shows that everything else is supported.
fn open_made(base: &[u8]) -> &'static str {
    let mut disk = Disk::open(Memory::new(base)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(disk.list().map(|_| ()), Err(DiskError::NoModulesFolder));
    disk.kind()
}

#[test]
fn a_fat32_file_system_with_few_clusters_is_read() {
    let mut base = made_by_mkfs("32", 65_536, START).expect("mkfs.vfat is missing; run `make setup`");
    base[446 + 4] = 0x0c;
    base[446 + 8..][..4].copy_from_slice(&(START as u32).to_le_bytes());
    base[446 + 12..][..4].copy_from_slice(&65_536_u32.to_le_bytes());
    base[510..][..2].copy_from_slice(&[0x55, 0xaa]);
    assert_eq!(open_made(&base), "FAT32");
}

#[test]
fn a_file_system_on_the_whole_disk_is_read_and_saved_to() {
    for (kind, sectors) in [("16", 32_768), ("32", 131_072)] {
        let base = made_by_mkfs(kind, sectors, 0).expect("mkfs.vfat is missing; run `make setup`");
        assert_eq!(open_made(&base), std::format!("FAT{kind}"));
    }
    let with_table = image(KINDS[0], &[("sum.mod", &blob("sum", 1, 1200))]);
    let whole = &with_table[START * SECTOR_SIZE..];
    let mut disk = Disk::open(Memory::new(whole)).unwrap();
    disk.save("sum", &blob("sum", 2, 900)).unwrap();
    let file = disk.list().unwrap().files.remove(0);
    assert_eq!(disk.read(&file).unwrap(), blob("sum", 2, 900));
    let memory = disk.into_device();
    assert_eq!(memory.sector(0), whole[..SECTOR_SIZE], "the first sector stays");
}

#[test]
fn what_macos_puts_beside_files_is_no_module() {
    let base = image(KINDS[0], &[("._sum.mod", &[0, 5, 0x16, 7]), ("sum.mod", &blob("sum", 1, 1200))]);
    let (chosen, selection) = super::modules(&mut Disk::open(Memory::new(&base)).unwrap());
    assert_eq!((chosen.len(), selection.refused.len()), (1, 0), "{selection:?}");
}
