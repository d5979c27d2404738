extern crate std;

use super::*;
use crate::interface::ArgumentKind;
use std::vec::Vec;

const READ: Method = Method { fingerprint: 1, shape: Shape::new(true, &[ArgumentKind::Text, ArgumentKind::Out]) };
const SIZE: Method = Method { fingerprint: 2, shape: Shape::EMPTY };
const SOURCE: NewEntry =
    NewEntry { role: Role::Import, name: "source", interface: "files", version: (1, 2), methods: &[READ] };
const FILES: NewEntry =
    NewEntry { role: Role::Export, name: "", interface: "files", version: (1, 0), methods: &[READ, SIZE] };
const FUNCTIONS: NewEntry = NewEntry { role: Role::Export, name: "", interface: "", version: (0, 0), methods: &[SIZE] };
const ALL: &[NewEntry] = &[SOURCE, FILES, FUNCTIONS];
const BYTES: [u8; encoded_size(ALL)] = encode(ALL);

fn check_with(change: impl FnOnce(&mut Vec<u8>)) -> Result<(), (usize, BadBinding)> {
    let mut bytes = BYTES.to_vec();
    change(&mut bytes);
    Entries::check(&bytes)
}

#[test]
fn reads_what_it_writes() {
    assert_eq!(Entries::check(&BYTES), Ok(()));
    let entries: Vec<_> = Entries::new(&BYTES).collect();
    for (entry, new) in entries.iter().zip(ALL) {
        assert_eq!((entry.role, entry.name, entry.interface), (new.role, new.name, new.interface));
        assert_eq!((entry.version, entry.provider), (new.version, ""));
        assert_eq!(entry.methods().collect::<Vec<_>>(), new.methods);
    }
    let all = Entries::new(&BYTES);
    assert_eq!(all.imports().collect::<Vec<_>>(), entries[..1]);
    assert_eq!(all.exports().map(|(first, _)| first).collect::<Vec<_>>(), [0, 2]);
    assert_eq!((all.function_count(), all.function(3)), (3, None));
    assert_eq!(all.function(1), Some((entries[1], SIZE)));
    assert_eq!(all.function(2), Some((entries[2], SIZE)));
}

#[test]
fn takes_what_the_design_allows() {
    // 10 bytes and the names an entry, 12 a method.
    assert_eq!(BYTES.len(), 10 + 6 + 5 + 12 + 10 + 5 + 24 + 10 + 12);
}

#[test]
fn carries_a_provider() {
    let mut bytes = Vec::new();
    Entries::new(&BYTES).imports().for_each(|entry| {
        entry.encode_with("disk@^1", &mut |part| bytes.extend_from_slice(part));
    });
    assert_eq!(Entries::check(&bytes), Ok(()));
    assert_eq!(Entries::new(&bytes).next().map(|entry| entry.provider), Some("disk@^1"));
}

#[test]
fn rejects_what_is_cut_off() {
    let whole: Vec<_> = [0, 33, 72, BYTES.len()].into();
    for length in (0..=BYTES.len()).filter(|length| !whole.contains(length)) {
        assert!(matches!(Entries::check(&BYTES[..length]), Err((_, BadBinding::CutOff))), "{length}");
    }
}

#[test]
fn rejects_what_is_wrong() {
    let first = |what| Err((1, what));
    assert_eq!(check_with(|bytes| bytes[0] = 2), first(BadBinding::Role));
    assert_eq!(check_with(|bytes| bytes[10] = b'S'), first(BadBinding::Name));
    assert_eq!(check_with(|bytes| bytes[16] = b' '), first(BadBinding::Name));
    // An export with a name, an import without one.
    assert_eq!(check_with(|bytes| bytes[0] = 1), first(BadBinding::Name));
    assert_eq!(check_with(|bytes| bytes[33] = 0), Err((2, BadBinding::Name)));
    assert_eq!(check_with(|bytes| bytes[4] = 0), first(BadBinding::Count));
    assert_eq!(check_with(|bytes| bytes[5] = 1), first(BadBinding::Count));
    // The shape of the first method.
    assert_eq!(check_with(|bytes| bytes[29] = 7), first(BadBinding::Shape));
    // The shape of the plain function.
    assert_eq!(check_with(|bytes| bytes[90] = 1), Err((3, BadBinding::Shape)));
    // Both methods of the export get one fingerprint.
    assert_eq!(check_with(|bytes| bytes[60] = 1), Err((2, BadBinding::MethodTwice)));
    let twice = [&BYTES[..], &BYTES[..33]].concat();
    assert_eq!(Entries::check(&twice), Err((4, BadBinding::Twice)));
    let functions = [&BYTES[..], &BYTES[72..]].concat();
    assert_eq!(Entries::check(&functions), Err((4, BadBinding::Twice)));
    let mut provider = BYTES.to_vec();
    (provider[3], _) = (1, provider.insert(21, 0xff));
    assert_eq!(Entries::check(&provider), first(BadBinding::Provider));
    let mut many = Vec::new();
    for number in 0..=MAX_ENTRIES {
        let name = std::format!("m{number}");
        let entry = Entry { name: &name, ..Entries::new(&BYTES).next().unwrap() };
        entry.encode_with("", &mut |part| many.extend_from_slice(part));
    }
    assert_eq!(Entries::check(&many), Err((MAX_ENTRIES + 1, BadBinding::Count)));
}
