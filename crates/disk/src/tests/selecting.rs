//! Selection of files.

use std::string::ToString;
use std::vec::Vec;

use super::{KINDS, Memory, blob, image, image_with, modules};
use crate::{Disk, DiskError};

#[test]
fn goes_by_the_header_not_by_the_file() {
    for kind in KINDS {
        let (first, second) = (blob("zebra", 1, 200), blob("ant", 1, 300));
        let files: [(&str, &[u8]); 4] = [("a.mod", &first), ("b.MOD", &second), ("c.txt", &first), ("d", &second)];
        let base = image(kind, &files);
        let mut disk = Disk::open(Memory::new(&base)).unwrap();
        let (found, selection) = modules(&mut disk);
        assert_eq!(found, ["ant 1 300", "zebra 1 200"]);
        assert!(selection.refused.is_empty() && selection.superseded.is_empty());
    }
}

#[test]
fn the_newest_that_validates_is_chosen() {
    let (good, mut bad) = (blob("sum", 1, 600), blob("sum", 3, 600));
    bad[500] ^= 1;
    let files: [(&str, &[u8]); 3] = [("bad.mod", &bad), ("v1.mod", &good), ("v2.mod", &blob("sum", 2, 600))];
    let mut base = image(KINDS[0], &files);
    let stamp = |base: &mut [u8], name: &[u8], stamp: u32| {
        let entry = base.windows(11).position(|window| window == name).unwrap();
        base[entry + 22..][..4].copy_from_slice(&stamp.to_le_bytes());
    };
    let select = |base: &[u8]| {
        let (found, selection) = modules(&mut Disk::open(Memory::new(base)).unwrap());
        (found.concat(), selection.refused.len(), selection.superseded.concat())
    };
    // All with the same time: the highest version that validates is chosen.
    for name in [b"BAD     MOD", b"V1      MOD", b"V2      MOD"] {
        stamp(&mut base, name, 0x0021_0000);
    }
    assert_eq!(select(&base), ("sum 2 600".into(), 1, "v1.mod".into()));
    stamp(&mut base, b"V1      MOD", 0x0021_0001);
    assert_eq!(select(&base), ("sum 1 600".into(), 0, "bad.modv2.mod".into()));
}

#[test]
fn what_is_no_module_is_refused_and_the_rest_goes_on() {
    let sum = blob("sum", 1, 200);
    let files: [(&str, &[u8]); 6] = [
        ("folder.mod/", b""),
        ("other/", b""),
        ("empty.mod", b""),
        ("short.mod", b"short"),
        ("sum.mod", &sum),
        ("zero.mod", &[0; 900]),
    ];
    let base = image_with(KINDS[1], "MODULES", &files);
    let (found, selection) = modules(&mut Disk::open(Memory::new(&base)).unwrap());
    assert_eq!(found, ["sum 1 200"]);
    let refused: Vec<_> = selection.refused.iter().map(|refused| (&*refused.file, &*refused.error)).collect();
    let folder = DiskError::IsFolder.to_string();
    let expected = [
        ("folder.mod", &*folder),
        ("empty.mod", "too short"),
        ("short.mod", "too short"),
        ("zero.mod", "checksum mismatch"),
    ];
    assert_eq!(refused, expected);
}
