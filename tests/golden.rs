//! Released blobs, which must load and run in all later versions.
//!
//! `tests/golden/abi-MAJOR.MINOR` contains some of each version of the ABI, and `abi-1.2-symbols` those with the newest
//! records. They are never rebuilt: `tests/golden/released` lists their checksums.

mod common;

use std::path::{Path, PathBuf};

use bareflow_abi::header::{FLAG_NO_RUN, Header};
use bareflow_abi::record::{
    BINDINGS, DEPENDENCIES, EVENTS, EXPECTED_RESULT, MEMORY, SIGNATURES, STATE_SCHEMA, SYMBOLS, TRAPS, VARIANT,
};
use bareflow_abi::{ABI_MAJOR, ABI_MINOR};
use bareflow_loader::RawModule;
use bareflow_loader::records::Records;
use common::{assert_code, bareflow, root};
use serde_json::Value;

/// The results of the modules for the input "hi".
const RESULTS: [(&str, i64); 11] = [
    ("all-in-one", 1023),
    ("counter", 1),
    ("echo", 2),
    ("empty", 0),
    ("heap", 1000),
    ("kinds-user", 0),
    // Two pages, and the byte that it wrote to the end of the second.
    ("memory", 0x202),
    // The input makes it call "hi", which it does not declare.
    ("relay", -101),
    ("rogue", 1),
    // The input names none of its traps.
    ("traps", 0),
    ("vectors", -1_179_081_931),
];

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// Returns the folders of this major version. Only a new major version may drop support for old ones.
fn folders() -> Vec<PathBuf> {
    let golden = entries(&root().join("tests/golden")).into_iter();
    let of_this = format!("abi-{ABI_MAJOR}.");
    golden.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(&of_this)).collect()
}

fn header_of(path: &Path) -> Header {
    Header::from_bytes(std::fs::read(path).unwrap().first_chunk().unwrap())
}

fn run_everywhere(command: &str) {
    for folder in folders() {
        let files = entries(&folder);
        for domain in ["kernel", "user"] {
            let place = tempfile::tempdir().unwrap();
            let report = place.path().join("report.json");
            let words = [command, "--domain", domain, "--input", "hi", "--json"].map(PathBuf::from);
            let output = bareflow(words.into_iter().chain([report.clone()]).chain(files.clone()));
            assert_code(&output, 0);
            let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
            // The four tests come first.
            let tests = &report["tests"].as_array().unwrap()[4..];
            let has_run = |file: &&PathBuf| header_of(file).flags & FLAG_NO_RUN == 0;
            assert_eq!(tests.len(), files.iter().filter(has_run).count(), "{}", folder.display());
            for test in tests {
                let module = test["module"].as_str().unwrap();
                let (_, expected) = RESULTS.into_iter().find(|(name, _)| *name == module).unwrap();
                assert_eq!(
                    test["result"],
                    expected,
                    "{} of {} in {command}'s {domain} domain",
                    module,
                    folder.display()
                );
            }
        }
    }
}

#[test]
fn every_released_blob_runs_in_the_kernel() {
    run_everywhere("boot");
}

#[test]
fn every_released_blob_runs_in_a_process() {
    run_everywhere("host");
}

#[test]
fn there_are_blobs_of_every_version_and_every_record() {
    let mut kinds = Vec::new();
    for minor in 0..=ABI_MINOR {
        let folder = root().join(format!("tests/golden/abi-{ABI_MAJOR}.{minor}"));
        for path in entries(&folder) {
            let header = header_of(&path);
            assert_eq!((header.abi_major, header.abi_minor), (ABI_MAJOR, minor), "{}", path.display());
        }
    }
    for path in folders().iter().flat_map(|folder| entries(folder)) {
        let bytes = std::fs::read(&path).unwrap();
        let raw = RawModule::parse(&bytes).unwrap();
        kinds.extend(Records::new(raw.records).flatten().map(|record| record.kind));
    }
    for kind in
        [STATE_SCHEMA, VARIANT, SYMBOLS, DEPENDENCIES, EXPECTED_RESULT, BINDINGS, SIGNATURES, EVENTS, TRAPS, MEMORY]
    {
        assert!(kinds.contains(&kind), "no released blob has a record of kind {kind:#x}");
    }
}

#[test]
fn released_blobs_stay_as_they_are() {
    let listed = std::fs::read_to_string(root().join("tests/golden/released")).unwrap();
    let golden = root().join("tests/golden");
    let mut found = String::new();
    for path in entries(&golden).iter().filter(|path| path.is_dir()).flat_map(|folder| entries(folder)) {
        let bytes = std::fs::read(&path).unwrap();
        let checksum = Header::from_bytes(bytes.first_chunk().unwrap()).checksum;
        let name = path.strip_prefix(&golden).unwrap().display().to_string();
        found += &format!("{name} {} {checksum:#010x}\n", bytes.len());
    }
    assert_eq!(
        found, listed,
        "released blobs are added to, and never changed: add the new ones to tests/golden/released"
    );
}
