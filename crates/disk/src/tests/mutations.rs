//! Tests that no bytes on a disk cause a panic or an endless loop.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::vec::Vec;

use proptest::prelude::*;

use super::{KINDS, Memory, blob, image, validate};
use crate::{BlockDevice, Disk, SECTOR_SIZE};

/// The most reads and writes that all of this may take on these small disks.
const MAX_REQUESTS: usize = 2_000_000;

fn base(kind: usize) -> &'static [u8] {
    static BASES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let make = |kind| {
        let files: [(&str, &[u8]); 3] =
            [("a-long-name.mod", &blob("sum", 1, 1700)), ("B.MOD", &blob("other", 1, 900)), ("c.txt", b"text")];
        let base = image(kind, &files);
        let mut disk = Disk::open(Memory::new(&base)).unwrap();
        disk.put_value("key", &[1; 900]).unwrap();
        disk.into_device().bytes()
    };
    &BASES.get_or_init(|| KINDS.map(make).into())[kind]
}

/// Returns the sectors that are not empty.
fn used(base: &[u8]) -> Vec<u64> {
    let used = base.chunks(SECTOR_SIZE).enumerate().filter(|(_, sector)| sector.iter().any(|&byte| byte != 0));
    used.map(|(number, _)| number as u64).collect()
}

fn use_all(memory: Memory<'_>) {
    let Ok(mut disk) = Disk::open(memory) else { return };
    if let Ok(listing) = disk.list() {
        for file in listing.files.iter().take(100) {
            let _ = disk.read(file);
        }
    }
    let _ = disk.select(validate);
    let _ = disk.save("sum", &blob("sum", 2, 2000));
    let _ = disk.select(validate);
    let _ = disk.value("key", 900);
    let _ = disk.keys();
    let _ = disk.put_value("key", b"other");
    let _ = disk.remove_value("key");
    assert!(disk.into_device().requests < MAX_REQUESTS);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_mutation_makes_it_panic_or_loop(
        kind in 0..2_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..SECTOR_SIZE, any::<u8>()), 1..12),
    ) {
        let used = used(base(kind));
        let mut memory = Memory::new(base(kind));
        let mut written = BTreeMap::new();
        for (index, offset, byte) in changes {
            let number = used[index.index(used.len())];
            written.entry(number).or_insert_with(|| memory.sector(number))[offset] = byte;
        }
        memory.written = written;
        prop_assert!(memory.sectors() > 0);
        use_all(memory);
    }

    #[test]
    fn no_fields_of_the_boot_sector_make_it_panic(kind in 0..2_usize, offset in 11..64_usize, bytes: [u8; 4], more: u32) {
        let mut memory = Memory::new(base(kind));
        let mut boot = memory.sector(super::START as u64);
        boot[offset..][..4].copy_from_slice(&bytes);
        boot[11 + more as usize % 40] = (more >> 24) as u8;
        memory.written.insert(super::START as u64, boot);
        use_all(memory);
    }
}
