//! Agreement between the documents and the code.

mod common;

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
    // The header's table comes first, then that of a variant.
    let fields = Header::FIELDS.iter().chain(VariantHeader::FIELDS);
    let declared: Vec<_> = fields.map(|(name, offset, size)| format!("| {offset} {size} `{name}`")).collect();
    assert_eq!(documented, declared);
    assert!(text.contains(&format!("0x{VARIANT:x}: the module's code for processors of a higher level")));
    assert!(text.contains(&format!("0x{SYMBOLS:x}: the functions of the code before it")));
    assert!(text.contains(&format!("0x{LAYOUT:x}: the layout the module was built against")));
    assert!(text.contains(&format!("{MAGIC:#X}").replace("0X", "0x")));
}

#[test]
fn the_examples_shown_are_the_code_that_is_built() {
    for (page, path) in [
        ("README.md", "modules/sum/src/lib.rs"),
        ("README.md", "examples/embed-host/src/main.rs"),
        ("docs/interfaces.md", "examples/sensors-interface/src/lib.rs"),
        ("docs/interfaces.md", "examples/thermostat/src/lib.rs"),
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
    for folder in ["abi", "crates", "kernel", "tests"] {
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
