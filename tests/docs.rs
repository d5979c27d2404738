//! Agreement between the documents and the code.

mod common;

use bareflow_abi::events::{Event, HEADER_SIZE, Kind, encode};
use bareflow_abi::header::{Header, MAGIC};
use bareflow_abi::record::{LAYOUT, SYMBOLS, VARIANT};
use bareflow_abi::variant::VariantHeader;
use common::root;
use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_format_is_documented_byte_by_byte() {
    let text = read("docs/format.md");
    let rows: Vec<_> = text.lines().filter(|line| line.starts_with("| ") && line.contains(" | `")).collect();
    let documented: Vec<_> = rows.iter().map(|row| row.split(" | ").take(3).collect::<Vec<_>>().join(" ")).collect();
    // The header's table comes first, then that of a variant, then that of an event.
    let fields = Header::FIELDS.iter().chain(VariantHeader::FIELDS).chain(&EVENT_FIELDS);
    let declared: Vec<_> = fields.map(|(name, offset, size)| format!("| {offset} {size} `{name}`")).collect();
    assert_eq!(documented, declared);
    assert!(text.contains(&format!("0x{VARIANT:x}: the module's code for processors of a higher level")));
    assert!(text.contains(&format!("0x{SYMBOLS:x}: the functions of the code before it")));
    assert!(text.contains(&format!("0x{LAYOUT:x}: the layout the module was built against")));
    assert!(text.contains(&format!("{MAGIC:#X}").replace("0X", "0x")));
}

/// The fields of an event's header: name, offset and size.
const EVENT_FIELDS: [(&str, usize, usize); 7] = [
    ("kind", 0, 1),
    ("flags", 1, 1),
    ("name_length", 2, 1),
    ("source_length", 3, 1),
    ("function", 4, 2),
    ("reserved", 6, 2),
    ("period_us", 8, 8),
];

#[test]
fn the_fields_of_events_are_where_they_are_documented() {
    let timer = Event { kind: Kind::Timer, at_start: true, function: 0x203, period_us: 5, name: "tick", source: "" };
    let price = Event { kind: Kind::Subscription, at_start: false, period_us: 0, source: "feed.price", ..timer };
    for (event, values) in [(timer, [0, 1, 4, 0, 0x203, 0, 5]), (price, [1, 0, 4, 10, 0x203, 0, 0])] {
        let bytes: [u8; 64] = encode(&[event]);
        for ((name, offset, size), expected) in EVENT_FIELDS.into_iter().zip(values) {
            let value =
                bytes[offset..offset + size].iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
            assert_eq!(value, expected, "{name}");
        }
        assert_eq!(EVENT_FIELDS.iter().map(|(.., size)| size).sum::<usize>(), HEADER_SIZE);
        assert!(bytes[HEADER_SIZE..].starts_with(format!("{}{}", event.name, event.source).as_bytes()));
    }
}

#[test]
fn the_examples_shown_are_the_code_that_is_built() {
    for (page, path) in [
        ("README.md", "modules/sum/src/lib.rs"),
        ("README.md", "examples/embed-host/src/main.rs"),
        ("docs/events.md", "tests/modules/feed/src/lib.rs"),
        ("docs/events.md", "tests/modules/watch/src/lib.rs"),
        ("docs/interfaces.md", "examples/sensors-interface/src/lib.rs"),
        ("docs/interfaces.md", "examples/thermostat/src/lib.rs"),
        ("docs/network.md", "tests/modules/tcp-echo/src/lib.rs"),
        ("docs/regions.md", "examples/gallery/pipe-source/src/lib.rs"),
    ] {
        assert!(read(page).contains(&read(path)), "{page} does not show {path} as it is");
    }
    // Each line of a provider stands in both examples.
    let page = read("docs/interfaces.md");
    let provider = page.split("struct Board;\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    for line in provider.lines().filter(|line| !line.contains("Board")) {
        for path in ["examples/embed-host/src/main.rs", "examples/contained-kernel/src/embedding.rs"] {
            assert!(read(path).contains(line), "{path} has no line {line}");
        }
    }
}

/// Appends all Rust files below `folder` to `sources`.
fn add_sources(folder: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            *sources += &std::fs::read_to_string(path).unwrap();
        }
    }
}

#[test]
fn the_architectures_tests_exist() {
    let text = read("ARCHITECTURE.md");
    let mut sources = String::new();
    for folder in ["abi", "crates", "drivers", "kernel", "tests"] {
        add_sources(&root().join(folder), &mut sources);
    }
    let table =
        text.lines().skip_while(|line| *line != "| invariant | test |").take_while(|line| line.starts_with('|'));
    let mut found = 0;
    for quoted in table.flat_map(|row| row.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()) {
        let name = quoted.rsplit(": ").next().unwrap_or_default().to_owned();
        if name.contains('_') && !name.contains('/') {
            assert!(sources.contains(&format!("fn {name}(")), "ARCHITECTURE.md names a test {name} that is not there");
            found += 1;
        }
    }
    assert!(found >= 10, "{found}");
}
