//! The gallery: crates of authors who do not know this repository, as modules, and modules that use interfaces.
//!
//! Their test vectors must hold on the host and in the kernel, in both domains. The memory functions that they rely on
//! must be correct at every length.

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::{assert_code, bareflow, errors, root, text};
use serde_json::Value;

/// The crates of the gallery that others wrote.
const CRATES: [&str; 15] = [
    "blake3",
    "chacha20poly1305",
    "ed25519-compact",
    "embassy-sync",
    "embedded-graphics",
    "linkme",
    "lz4_flex",
    "miniz_oxide",
    "nalgebra",
    "regex-automata",
    "secp256k1",
    "serde_json",
    "sha2",
    "smoltcp",
    "wasmi",
];

/// The modules of the gallery that show what interfaces, functions and events are for.
const MODULES: [&str; 8] = ["aes-cipher", "chacha-cipher", "cron", "keeper", "sort", "store", "ticker", "vault"];

/// The stages of a pipeline over shared memory, which have a test of their own, `tests/pipeline.rs`.
const STAGES: [&str; 3] = ["pipe-hash", "pipe-sink", "pipe-source"];

/// Those of them that call others, which costs more from ring 3, or wait for the disk, which takes what it takes.
const CALLERS: [&str; 2] = ["store", "vault"];

/// The largest difference between the costs of a call in ring 3 and in ring 0, in instructions.
const CALL: u64 = 200;

/// Tests the modules that `arguments` name everywhere, and returns their reports.
fn passes_everywhere(arguments: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("found.json");
    let more = ["--boot", "--json", path.to_str().unwrap()];
    let output = bareflow([&["test"], arguments, &more].concat());
    assert_code(&output, 0);
    let json: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(json["passed"], true, "{}", errors(&output));
    let modules = json["modules"].as_array().unwrap().clone();
    let is_stage = |module: &Value| STAGES.iter().any(|name| module["name"] == *name);
    for module in modules.iter().filter(|module| !is_stage(module)) {
        let examples = module["examples"].as_u64().unwrap();
        assert!(examples >= 1, "{module}");
        // These counts are from a kernel in which a tick is an instruction: the two rings differ only by the cost of a
        // call.
        let counts = [2, 3].map(|place: usize| module["trials"][place]["instructions"].as_u64().unwrap());
        let is_caller = CALLERS.iter().any(|name| module["name"] == *name);
        assert!(is_caller || counts[0].abs_diff(counts[1]) <= counts[0] / 100 + CALL * examples, "{module}");
        let places = module["trials"].as_array().unwrap().iter().map(|trial| {
            assert_eq!(trial["failures"], Value::Array(Vec::new()));
            [&trial["where"], &trial["domain"]].map(|word| word.as_str().unwrap().to_owned())
        });
        let expected = [["host", "kernel"], ["host", "user"], ["kernel", "kernel"], ["kernel", "user"]];
        assert_eq!(places.collect::<Vec<_>>(), expected, "{module}");
    }
    modules
}

#[test]
fn every_vector_holds_in_every_domain() {
    let modules = passes_everywhere(&["--gallery"]);
    let names: Vec<_> = modules.iter().map(|module| module["name"].as_str().unwrap().to_owned()).collect();
    let mut expected: Vec<_> = CRATES.map(|name| format!("gallery-{name}")).into_iter().collect();
    expected.extend(MODULES.into_iter().chain(STAGES).map(str::to_owned));
    expected.sort();
    assert_eq!(names, expected);
    // A picture that can be viewed.
    let folder = tempfile::tempdir().unwrap();
    let png = folder.path().join("picture.png");
    let blob = common::blob("x").ancestors().nth(2).unwrap().join("gallery/gallery-embedded-graphics.mod");
    assert_code(&bareflow(["host", blob.to_str().unwrap(), "--output", png.to_str().unwrap()]), 0);
    let decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(png).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let found = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((found.width, found.height), (128, 64));
    let ppm = fs::read(root().join("examples/gallery/embedded-graphics/picture.ppm")).unwrap();
    assert!(ppm.ends_with(&pixels));
}

#[test]
fn memory_functions_are_right_at_every_length() {
    let modules = passes_everywhere(&["./tests/modules/memory"]);
    assert_eq!(modules.len(), 1);
}

#[test]
fn wrappers_are_short_and_safe_and_listed() {
    let guide = fs::read_to_string(root().join("docs/modules.md")).unwrap();
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root().join("examples/gallery")).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(source) = fs::read_to_string(folder.join("src/lib.rs")) else { continue };
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let is_wrapper = !MODULES.contains(&&*name) && !STAGES.contains(&&*name);
        assert!(!is_wrapper || source.lines().count() <= 40, "{name}: {} lines", source.lines().count());
        // The output of linkme's macro counts as unsafe code; its wrapper has no unsafe block of its own.
        let is_safe = source.contains("#![forbid(unsafe_code)]") || (name == "linkme" && !source.contains("unsafe {"));
        assert!(is_safe, "{name}");
        assert!(guide.contains(&format!("| `{name}` |")), "{name} is not in docs/modules.md");
        found.insert(name);
    }
    assert_eq!(found, CRATES.into_iter().chain(MODULES).chain(STAGES).map(str::to_owned).collect());
}

#[test]
fn the_ordinary_workspace_knows_nothing_of_it() {
    let output = bareflow(["build", "gallery-sha2"]);
    assert_code(&output, 2);
    assert!(errors(&output).contains("no module gallery-sha2: there are fibonacci, "), "{}", errors(&output));
    assert_eq!(text(&output), "");
}
