//! The gallery: crates of authors who do not know this repository, as modules, and modules that use interfaces.
//!
//! Their test vectors must hold on the host and in the kernel, in both domains. The memory functions that they rely on
//! must be correct at every length.

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::{assert_code, bareflow, errors, root, text};
use serde_json::Value;

/// The names of wrappers of crates that others wrote begin with it.
const WRAPPER: &str = "gallery-";

/// The stages of a pipeline over shared memory, which have a test of their own, `tests/pipeline.rs`.
const STAGES: [&str; 3] = ["pipe-hash", "pipe-sink", "pipe-source"];

/// The modules that call others, which costs more from ring 3, or wait for the disk, which takes what it takes.
const CALLERS: [&str; 2] = ["store", "vault"];

/// The largest difference between the costs of a call in ring 3 and in ring 0, in instructions.
const CALL: u64 = 200;

/// Returns the gallery's folders, each with the name of the package in it.
fn members() -> BTreeMap<String, String> {
    let folders = fs::read_dir(root().join("examples/gallery")).unwrap().map(|entry| entry.unwrap().path());
    let members = folders.filter_map(|folder| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
        let package = manifest.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).unwrap();
        Some((folder.file_name().unwrap().to_str().unwrap().to_owned(), package.to_owned()))
    });
    members.collect()
}

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
    let mut expected: Vec<_> = members().into_values().collect();
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
    for (name, package) in members() {
        let source = fs::read_to_string(root().join("examples/gallery").join(&name).join("src/lib.rs")).unwrap();
        assert!(
            !package.starts_with(WRAPPER) || source.lines().count() <= 40,
            "{name}: {} lines",
            source.lines().count()
        );
        // The output of linkme's macro counts as unsafe code; its wrapper has no unsafe block of its own.
        let is_safe = source.contains("#![forbid(unsafe_code)]") || (name == "linkme" && !source.contains("unsafe {"));
        assert!(is_safe, "{name}");
        assert!(guide.contains(&format!("| `{name}` |")), "{name} is not in docs/modules.md");
    }
}

#[test]
fn the_ordinary_workspace_knows_nothing_of_it() {
    let output = bareflow(["build", "gallery-sha2"]);
    assert_code(&output, 2);
    assert!(errors(&output).contains("no module gallery-sha2: there are fibonacci, "), "{}", errors(&output));
    assert_eq!(text(&output), "");
}
