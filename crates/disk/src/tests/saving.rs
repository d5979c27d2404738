//! Saving, with and without errors.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::{KINDS, Memory, blob, fsck, image, modules};
use crate::table::ClusterLink;
use crate::{Disk, DiskError};

#[test]
fn adds_replaces_and_keeps_the_rest() {
    for kind in KINDS {
        let (old, other) = (blob("sum", 3, 1300), blob("all-in-one", 1, 700));
        let base = image(kind, &[("sum.mod", &old), ("all-in-one.mod", &other)]);
        let mut disk = Disk::open(Memory::new(&base)).unwrap();
        for (version, length) in [(4, 9000), (4, 1300), (1, 129)] {
            let new = blob("sum", version, length);
            let saved = disk.save("sum", &new).unwrap();
            assert!(saved.path.starts_with("/modules/") && saved.path.ends_with(".MOD"), "{saved:?}");
            assert_eq!((saved.bytes, saved.removed.len()), (length as u64, 1), "{saved:?}");
            assert_eq!(modules(&mut disk).0, ["all-in-one 1 700", &format!("sum {version} {length}")]);
        }
        // Saving the same bytes again writes nothing twice and removes nothing.
        let saved = disk.save("sum", &blob("sum", 1, 129)).unwrap();
        assert_eq!((saved.removed.len(), disk.list().unwrap().files.len()), (0, 2));
        disk.save("all-in-one", &blob("all-in-one", 2, 20_000)).unwrap();
        assert_eq!(modules(&mut disk).0, ["all-in-one 2 20000", "sum 1 129"]);
        let (clean, said) = fsck(&disk.into_device());
        assert!(clean, "{said}");
    }
}

#[test]
fn the_folder_grows() {
    for kind in KINDS {
        let base = image(kind, &[]);
        let mut disk = Disk::open(Memory::new(&base)).unwrap();
        for number in 0..40 {
            disk.save(&format!("m{number}"), &blob(&format!("m{number}"), 1, 140)).unwrap();
        }
        let mut expected: Vec<String> = (0..40).map(|number| format!("m{number} 1 140")).collect();
        expected.sort();
        assert_eq!(modules(&mut disk).0, expected);
        let (clean, said) = fsck(&disk.into_device());
        assert!(clean, "{said}");
    }
}

#[test]
fn two_names_of_one_checksum_are_two_files() {
    let base = image(KINDS[0], &[]);
    let mut disk = Disk::open(Memory::new(&base)).unwrap();
    let mut blobs = [blob("a", 1, 200), blob("b", 1, 200)];
    for blob in &mut blobs {
        blob[124..128].copy_from_slice(&[0xff; 4]);
    }
    assert_eq!(disk.save("a", &blobs[0]).unwrap().path, "/modules/FFFFFFFF.MOD");
    assert_eq!(disk.save("b", &blobs[1]).unwrap().path, "/modules/00000000.MOD");
}

#[test]
fn a_full_disk_stays_as_it_is() {
    for kind in KINDS {
        let old = blob("sum", 1, 600);
        let base = image(kind, &[("sum.mod", &old)]);
        let mut disk = Disk::open(Memory::new(&base)).unwrap();
        for cluster in 2..=disk.layout.highest() {
            if disk.link(cluster).unwrap() == ClusterLink::Free {
                disk.set_link(cluster, None).unwrap();
            }
        }
        disk.write_table().unwrap();
        let base = disk.into_device().bytes();
        let mut disk = Disk::open(Memory::new(&base)).unwrap();
        let error = disk.save("sum", &blob("sum", 2, 5000)).unwrap_err();
        assert!(matches!(error, DiskError::NoSpace { needed: 5120, free: 0 }), "{error}");
        assert_eq!(modules(&mut disk).0, ["sum 1 600"]);
        assert!(disk.into_device().written.is_empty());
    }
}

#[test]
fn rejects_what_is_not_that_module() {
    let base = image(KINDS[0], &[]);
    let mut disk = Disk::open(Memory::new(&base)).unwrap();
    for (name, bytes) in
        [("sum", blob("sum2", 1, 200)), ("sum", std::vec![0; 200]), ("sum", std::vec![]), ("", blob("", 1, 200))]
    {
        let error = disk.save(name, &bytes).unwrap_err();
        assert_eq!(error, DiskError::NotThatModule { expected: name.into() });
    }
    let error = disk.save("sum", &blob("sum", 1, (16 << 20) + 1)).unwrap_err();
    assert_eq!(error, DiskError::TooLarge { found: (16 << 20) + 1 });
}

#[test]
fn rejects_a_file_that_is_as_late_as_can_be() {
    let mut base = image(KINDS[0], &[("sum.mod", &blob("sum", 1, 200))]);
    let entry = base.windows(11).position(|window| window == b"SUM     MOD").unwrap();
    base[entry + 22..][..4].fill(0xff);
    let mut disk = Disk::open(Memory::new(&base)).unwrap();
    let error = disk.save("sum", &blob("sum", 2, 200)).unwrap_err();
    assert_eq!(error, DiskError::NoLaterStamp { file: "sum.mod".into() });
}

#[test]
fn rejects_a_listing_that_is_out_of_date() {
    let base = image(KINDS[0], &[("sum.mod", &blob("sum", 1, 200))]);
    let mut disk = Disk::open(Memory::new(&base)).unwrap();
    let folder = disk.modules().unwrap();
    let mut file = disk.list().unwrap().files.remove(0);
    file.short = *b"OTHER   MOD";
    let error = disk.change_entries(folder, &file, |_, _| {}).unwrap_err();
    assert_eq!(error, DiskError::EntryChanged { file: "sum.mod".into() });
}
