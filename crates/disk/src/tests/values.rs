//! Values by their keys, with and without a loss of power.

use std::collections::BTreeSet;
use std::string::ToString;
use std::vec::Vec;
use std::{format, vec};

use super::power::last_flush;
use super::{Event, KINDS, Memory, blob, fsck, image, image_with, modules};
use crate::value::{STORE, hash_of, head_of};
use crate::{Disk, DiskError, SECTOR_SIZE};

type TestDisk<'base> = Disk<Memory<'base>>;

/// Returns the values of two keys, if no file shares a cluster with another one.
fn values(disk: &mut TestDisk<'_>) -> [Option<Vec<u8>>; 2] {
    let mut seen = BTreeSet::new();
    if let Some(folder) = disk.find_folder(STORE).unwrap() {
        for file in disk.list_all(folder).unwrap() {
            assert!(disk.chain(&file).unwrap().into_iter().all(|cluster| seen.insert(cluster)), "{}", file.name);
        }
    }
    ["key", "other"].map(|key| disk.value(key, 5000).unwrap())
}

#[test]
fn puts_gets_lists_and_removes() {
    for kind in KINDS {
        let base = image(kind, &[("sum.mod", &blob("sum", 1, 700))]);
        let mut disk = Disk::open(Memory::new(&base)).unwrap();
        assert_eq!((disk.value("key", 5000), disk.keys(), disk.remove_value("key")), (Ok(None), Ok(vec![]), Ok(false)));
        for length in [0, 1, 443, 444, 445, 5000, 1] {
            disk.put_value("key", &vec![7; length]).unwrap();
            assert_eq!(disk.value("key", 5000), Ok(Some(vec![7; length])));
            assert_eq!(disk.value_length("key"), Ok(Some(length as u64)));
            assert!(length == 0 || disk.value("key", length - 1).is_err());
        }
        let long = "k".repeat(64);
        for (number, key) in ["b", "a.b-c_d", &long].into_iter().enumerate() {
            disk.put_value(key, &[number as u8]).unwrap();
        }
        assert_eq!(disk.keys().unwrap(), ["a.b-c_d", "b", "key", &long]);
        assert_eq!(
            (disk.remove_value("b"), disk.value("b", 5000), disk.remove_value("b")),
            (Ok(true), Ok(None), Ok(false))
        );
        assert_eq!(disk.value(&long, 5000), Ok(Some(vec![2])));
        assert_eq!(modules(&mut disk).0, ["sum 1 700"]);
        for number in 0..60 {
            disk.put_value(&format!("many.{number}"), number.to_string().as_bytes()).unwrap();
        }
        assert_eq!((disk.keys().unwrap().len(), disk.value("many.59", 5000)), (63, Ok(Some(b"59".to_vec()))));
        let (clean, said) = fsck(&disk.into_device());
        assert!(clean, "{said}");
    }
}

#[test]
fn rejects_keys_that_are_none_and_a_file_in_the_folders_place() {
    let base = image(KINDS[0], &[]);
    let mut disk = Disk::open(Memory::new(&base)).unwrap();
    for key in ["", "a\0b", &"k".repeat(65)] {
        assert_eq!(disk.value(key, 5000), Err(DiskError::NotAKey));
        assert_eq!(disk.put_value(key, b""), Err(DiskError::NotAKey));
        assert_eq!(disk.remove_value(key), Err(DiskError::NotAKey));
    }
    disk.put_value("key", b"").unwrap();
    let mut base = disk.into_device().bytes();
    let entry = base.windows(11).position(|window| window == b"STORE      ").unwrap();
    base[entry + 11] = 0x20;
    let mut disk = Disk::open(Memory::new(&base)).unwrap();
    assert_eq!((disk.put_value("key", b""), disk.value("key", 5000)), (Err(DiskError::NoStoreFolder), Ok(None)));
}

#[test]
fn keys_of_one_hash_are_two_keys() {
    let [one, other] = ["k54442", "k126851"];
    assert_eq!(hash_of(&head_of(one).unwrap()), hash_of(&head_of(other).unwrap()));
    let base = image(KINDS[0], &[]);
    let mut disk = Disk::open(Memory::new(&base)).unwrap();
    disk.put_value(one, b"1").unwrap();
    disk.put_value(other, b"2").unwrap();
    assert_eq!((disk.value(one, 5000), disk.value(other, 5000)), (Ok(Some(b"1".to_vec())), Ok(Some(b"2".to_vec()))));
}

#[test]
fn files_of_others_in_the_folder_are_no_values() {
    let files: [(&str, &[u8]); 5] = [
        ("00000000.KEY", b"short"),
        ("0badf00d.key", &[b'x'; 600]),
        ("note.txt", b"text"),
        ("folder.key/", b""),
        ("FFFFFFFF.KEY", b"BFKV\0and the rest of more than sixty-eight bytes, which begins with no key at all"),
    ];
    let base = image_with(KINDS[0], "Store", &files);
    let mut disk = Disk::open(Memory::new(&base)).unwrap();
    disk.put_value("key", b"1").unwrap();
    assert_eq!((disk.keys(), disk.value("key", 5000)), (Ok(vec!["key".into()]), Ok(Some(b"1".to_vec()))));
}

#[test]
fn a_full_folder_takes_no_other_key_and_replaces_its_own() {
    let names: Vec<_> = (0..1022).map(|number| format!("{number}.TXT")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let base = image_with(KINDS[1], STORE, &files);
    let mut disk = Disk::open(Memory::new(&base)).unwrap();
    disk.put_value("key", b"1").unwrap();
    disk.put_value("other", b"1").unwrap();
    assert_eq!(disk.put_value("one too many", b"1"), Err(DiskError::TooManyFiles));
    assert_eq!((disk.put_value("key", b"2"), disk.value("key", 5000)), (Ok(()), Ok(Some(b"2".to_vec()))));
}

/// The changes that power is lost in: a change, and the value of `key` before and behind it.
type Change = fn(&mut TestDisk<'_>) -> Result<(), DiskError>;

#[test]
fn the_old_or_the_new_value_is_there_at_every_cut() {
    for kind in KINDS {
        let empty = image(kind, &[]);
        let with = |changes: &[Change]| {
            let mut disk = Disk::open(Memory::new(&empty)).unwrap();
            changes.iter().for_each(|change| change(&mut disk).unwrap());
            disk.into_device().bytes()
        };
        let other: Change = |disk| disk.put_value("other", &[9; 700]);
        let long: Change = |disk| disk.put_value("key", &[1; 1700]);
        let short: Change = |disk| disk.put_value("key", &[2; 3]);
        let remove: Change = |disk| disk.remove_value("key").map(|_| ());
        let cases: [(Vec<u8>, Change); 6] = [
            (empty.clone(), short),
            (with(&[other]), long),
            (with(&[other, long]), short),
            (with(&[other, short]), short),
            (with(&[long, other, short]), long),
            (with(&[long, other]), remove),
        ];
        for (base, change) in cases {
            check_every_cut(&base, change);
        }
    }
}

/// Loses power at each write of a change, with each write since the last flush lost or not.
fn check_every_cut(base: &[u8], change: Change) {
    let mut disk = Disk::open(Memory::new(base)).unwrap();
    let before = values(&mut disk);
    change(&mut disk).unwrap();
    let behind = values(&mut disk);
    let memory = disk.into_device();
    assert!(matches!(memory.events.last(), Some(Event::Flush)));
    let check = |events: &[&Event]| {
        let mut disk = Disk::open(memory.with(events.iter().copied())).unwrap();
        let found = values(&mut disk);
        assert!(found == before || found == behind, "{found:?}");
        // Whatever was left: the change can be made again, and a removed key does not come back.
        change(&mut disk).unwrap();
        assert_eq!(values(&mut disk), behind);
        disk.put_value("key", &[3; 2 * SECTOR_SIZE]).unwrap();
        assert!(disk.remove_value("key").unwrap());
        assert_eq!(values(&mut disk), [None, before[1].clone()]);
    };
    let all = &memory.events;
    for cut in 0..=all.len() {
        let (certain, open) = all[..cut].split_at(last_flush(&all[..cut]));
        check(&all[..cut].iter().collect::<Vec<_>>());
        for one in 0..open.len() {
            let mut lost: Vec<_> = certain.iter().chain(open).collect();
            lost.remove(certain.len() + one);
            check(&lost);
            check(&certain.iter().chain([&open[one]]).collect::<Vec<_>>());
        }
    }
}

#[test]
fn removing_what_a_loss_of_power_left_twice_brings_no_old_value_back() {
    let base = {
        let empty = image(KINDS[0], &[]);
        let mut disk = Disk::open(Memory::new(&empty)).unwrap();
        disk.put_value("key", b"old").unwrap();
        disk.into_device().bytes()
    };
    let mut disk = Disk::open(Memory::new(&base)).unwrap();
    disk.put_value("key", b"new").unwrap();
    let memory = disk.into_device();
    let mut seen_twice = 0;
    for cut in 0..memory.events.len() {
        let mut disk = Disk::open(memory.with(&memory.events[..cut])).unwrap();
        let folder = disk.find_folder(STORE).unwrap().unwrap();
        if disk.list_all(folder).unwrap().len() < 2 {
            continue;
        }
        seen_twice += 1;
        assert_eq!((disk.value("key", 5000), disk.keys()), (Ok(Some(b"new".to_vec())), Ok(vec!["key".into()])));
        let base = disk.into_device().bytes();
        check_every_cut(&base, |disk| disk.remove_value("key").map(|_| ()));
    }
    assert!(seen_twice > 0);
}
