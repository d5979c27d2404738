use super::*;

pub(crate) fn settings() -> Settings {
    Settings { name: "test".to_owned(), version: (1, 2, 3), ..Settings::default() }
}

#[test]
fn rejects_bad_names() {
    for name in ["", "Upper", "with space", "a-name-of-thirty-two-bytes-is-too"] {
        let refused = pack(&[], &Settings { name: name.to_owned(), ..settings() });
        assert_eq!(refused, Err(PackError::Name { found: name.to_owned() }));
    }
}

#[test]
fn rejects_version_zero() {
    assert_eq!(pack(&[], &Settings { version: (0, 0, 0), ..settings() }), Err(PackError::NoVersion));
}

#[test]
fn rejects_what_is_no_elf() {
    assert!(matches!(pack(b"no elf", &settings()), Err(PackError::NotElf { .. })));
}
