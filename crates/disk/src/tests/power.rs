//! Tests of a loss of power at every write of a save, with each write since the last flush lost or not.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::vec::Vec;
use std::{format, vec};

use proptest::prelude::*;

use super::{Event, KINDS, Memory, blob, image, modules};
use crate::Disk;

/// The disk before the save, the module's version on it (0 if there is none), and the blob to save.
type Case = (Vec<u8>, u32, Vec<u8>);

/// Returns the cases, which all tests share.
fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(make_cases)
}

fn make_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in KINDS {
        let (old, other) = (blob("sum", 5, 1700), blob("other", 1, 900));
        // Long names, so that a file has several entries.
        let name = "a-name-that-takes-more-than-two-entries-of-the-folder-by-being-long.mod";
        let files: [(&str, &[u8]); 4] =
            [("other.mod", &other), ("another-long-name.txt", b"text"), (name, &old), ("LAST.TXT", b"")];
        let without = image(kind, &files[..2]);
        // The folder's first sector has 16 entries: two of its own, then these.
        let names: Vec<_> = (0..13).map(|number| format!("{number}.TXT")).collect();
        let fillers = |count: usize| names.iter().take(count).map(|name| (name.as_str(), &b""[..]));
        // In the first case the folder must grow; in the second, the old file's entries lie in two sectors; in the
        // third, the new entry lies in another sector than the old ones.
        let full = image(kind, &files[..1].iter().copied().chain(fillers(13)).collect::<Vec<_>>());
        let across = image(kind, &files[..1].iter().copied().chain(fillers(9)).chain([files[2]]).collect::<Vec<_>>());
        let apart = image(kind, &[files[0], files[2]].into_iter().chain(fillers(8)).collect::<Vec<_>>());
        cases.push((without, 0, blob("sum", 6, 2600)));
        cases.push((full, 0, blob("sum", 6, 700)));
        for with in [image(kind, &files), across, apart] {
            for (version, length) in [(6, 2600), (5, 1000), (4, 1700)] {
                cases.push((with.clone(), 5, blob("sum", version, length)));
            }
        }
    }
    cases
}

/// Checks a disk to which `events` were applied, and that the next save works on it.
fn check(disk: &Memory<'_>, events: &[&Event], before: u32, new: &[u8], done: bool) {
    let mut disk = Disk::open(disk.with(events.iter().copied())).unwrap();
    let (found, selection) = modules(&mut disk);
    let text = |version, length| vec![format!("other 1 900"), format!("sum {version} {length}")];
    let new_version = u32::from(new[56]);
    let (old, new_text) = (text(before, 1700), text(new_version, new.len()));
    let old = if before == 0 { vec![format!("other 1 900")] } else { old };
    assert!(found == new_text || (!done && found == old), "{found:?}, {selection:?}");
    assert!(selection.refused.is_empty(), "{selection:?}");
    assert_sound(&mut disk);
    if !done {
        // Whatever was left, another save succeeds and damages nothing.
        disk.save("sum", new).unwrap();
        assert_eq!(modules(&mut disk).0, new_text);
        disk.save("sum", &blob("sum", 2, 3333)).unwrap();
        assert_eq!(modules(&mut disk).0, text(2, 3333));
        assert_sound(&mut disk);
    }
}

/// Fails unless every file has its clusters, and no two files share one.
fn assert_sound(disk: &mut Disk<Memory<'_>>) {
    let mut seen = BTreeSet::new();
    for file in disk.list().unwrap().files {
        let chain = disk.chain(&file).unwrap_or_else(|error| panic!("{}: {error}", file.name));
        assert!(chain.into_iter().all(|cluster| seen.insert(cluster)), "{}", file.name);
    }
}

/// Returns the disk after the save, with all events.
fn events_of<'base>(base: &'base [u8], new: &[u8]) -> Memory<'base> {
    let mut disk = Disk::open(Memory::new(base)).unwrap();
    disk.save("sum", new).unwrap();
    disk.into_device()
}

pub(super) fn last_flush(events: &[Event]) -> usize {
    events.iter().rposition(|event| matches!(event, Event::Flush)).map_or(0, |flush| flush + 1)
}

#[test]
fn the_old_or_the_new_module_is_there_at_every_cut() {
    for (base, before, new) in cases() {
        let memory = events_of(base, new);
        let all = &memory.events;
        assert!(matches!(all.last(), Some(Event::Flush)));
        for cut in 0..=all.len() {
            let (certain, open) = all[..cut].split_at(last_flush(&all[..cut]));
            let done = cut == all.len();
            check(&memory, &all[..cut].iter().collect::<Vec<_>>(), *before, new, done);
            // Each single write since the flush lost, and each single one arrived.
            for one in 0..open.len() {
                let mut lost: Vec<_> = certain.iter().chain(open).collect();
                lost.remove(certain.len() + one);
                check(&memory, &lost, *before, new, done);
                let alone: Vec<_> = certain.iter().chain([&open[one]]).collect();
                check(&memory, &alone, *before, new, done);
            }
        }
    }
}

#[test]
fn a_new_file_wins_even_while_the_old_one_is_there() {
    let (base, before, new) = &cases()[4];
    let memory = events_of(base, new);
    let both = (0..memory.events.len()).filter(|&cut| {
        let mut disk = Disk::open(memory.with(&memory.events[..cut])).unwrap();
        let (found, selection) = modules(&mut disk);
        found[1] == "sum 4 1700" && selection.superseded.len() == 1
    });
    assert_eq!((*before, both.count() > 0), (5, true));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_writes_since_the_flush_may_be_lost(case in 0..22_usize, cut: prop::sample::Index, lost: u64) {
        let (base, before, new) = &cases()[case];
        let memory = events_of(base, new);
        let cut = cut.index(memory.events.len());
        let (certain, open) = memory.events[..cut].split_at(last_flush(&memory.events[..cut]));
        let arrived = open.iter().enumerate().filter(|(index, _)| lost >> (index % 64) & 1 == 0);
        let events: Vec<_> = certain.iter().chain(arrived.map(|(_, event)| event)).collect();
        check(&memory, &events, *before, new, false);
    }
}
