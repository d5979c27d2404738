//! `tune` in workspaces of its own.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::workspace::workspace;
use common::{assert_code, errors, root, text};
use serde_json::Value;

fn bareflow(folder: &Path, words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bareflow"));
    command.args(words.split(' ')).current_dir(folder).env_remove("CARGO_TARGET_DIR").output().unwrap()
}

/// Makes a workspace with a module `name` whose function is `body`.
fn with_module(folder: &Path, name: &str, body: &str) {
    workspace(folder);
    assert_code(&bareflow(folder, &format!("new {name}")), 0);
    let code = format!(
        "//! A module.\n\n#![no_std]\n#![forbid(unsafe_code)]\n\nuse bareflow_abi::Context;\n\n\
         bareflow_abi::module!(work);\n\n/// Works.\npub fn work(context: &mut Context<'_>) -> i32 {{\n{body}\n}}\n"
    );
    fs::write(folder.join("modules").join(name).join("src/lib.rs"), code).unwrap();
}

/// Returns the commands that a document shows, in its order.
fn session(document: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(document)).unwrap();
    let commands = text.lines().filter_map(|line| line.strip_prefix("$ bareflow "));
    commands.map(|words| words.split("  #").next().unwrap_or_default().trim_end().to_owned()).collect()
}

/// Returns what hardly changes from run to run: the first two words of every line of the table.
fn ways(shown: &str) -> Vec<Vec<String>> {
    let words = |line: &str| line.split_whitespace().take(2).map(str::to_owned).collect();
    shown.lines().skip_while(|line| !line.starts_with("CPU ")).take_while(|line| !line.is_empty()).map(words).collect()
}

#[test]
fn does_what_its_document_shows_and_writes_the_choice_down() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    workspace(folder);
    assert_code(&bareflow(folder, "new squares"), 0);
    for file in ["Cargo.toml", "src/lib.rs"] {
        let from = root().join("modules/compute").join(file);
        let text = fs::read_to_string(from).unwrap().replace("name = \"compute\"", "name = \"squares\"");
        // The text as first written, without the settings.
        let plain = text.split("\n# Vectors").next().unwrap();
        fs::write(folder.join("modules/squares").join(file), plain).unwrap();
    }
    let manifest = folder.join("modules/squares/Cargo.toml");
    let before = fs::read_to_string(&manifest).unwrap();
    let documented = fs::read_to_string(root().join("docs/tune.md")).unwrap();
    let mut tuned = 0;
    for words in session("docs/tune.md") {
        let output = bareflow(folder, &words);
        assert_code(&output, 0);
        if words.starts_with("tune ") {
            tuned += 1;
            // Without the tools for a profile, those rows are missing, and a note says why.
            let (shown, expected) = (ways(&text(&output)), ways(&documented));
            let is_whole = shown == expected || errors(&output).contains("note: not built with a profile: ");
            assert!(is_whole && expected.starts_with(&shown), "{}", text(&output));
        }
    }
    assert_eq!(tuned, 1);
    let after = fs::read_to_string(&manifest).unwrap();
    let (start, rest) = after.split_once("[package.metadata.bareflow]\n").unwrap();
    let (added, end) = rest.split_once("\n\n").unwrap();
    assert_eq!(format!("{start}{end}"), before, "all else stays as it is");
    let keys: Vec<_> = added.lines().map(|line| line.split(" =").next().unwrap()).collect();
    assert_eq!(keys[0], "opt-level", "{after}");
    assert!(keys[1..].iter().all(|key| ["variants", "profile"].contains(key)), "{after}");
    let json: Value = serde_json::from_slice(&fs::read(folder.join("tuning.json")).unwrap()).unwrap();
    let first = &json["candidates"][0];
    assert_eq!((&first["cpu_level"], &first["opt_level"], &first["profile"]), (&1.into(), &"s".into(), &false.into()));
    assert!(first["median_ticks"].as_u64() > Some(0) && first["blob_size"].as_u64() > Some(128), "{json}");
    // QEMU's counts do not change: the vectors of the third level take fewer than half the instructions.
    let count = |level: u64, opt: &str| {
        let rows = json["candidates"].as_array().unwrap();
        let is = |row: &&Value| row["cpu_level"] == level && row["opt_level"] == opt && row["profile"] == false;
        rows.iter().find(is).unwrap()["instructions"].as_u64().unwrap()
    };
    assert!(count(3, "3") * 2 < count(1, "2"), "{json}");
    assert_eq!((&json["module"], &json["written"]), (&"squares".into(), &true.into()));
}

#[test]
fn names_the_pair_that_disagrees() {
    let folder = tempfile::tempdir().unwrap();
    with_module(folder.path(), "torn", "    let _ = context;\n    i32::from(cfg!(target_feature = \"sse4.2\"))");
    let manifest = folder.path().join("modules/torn/Cargo.toml");
    let before = fs::read(&manifest).unwrap();
    let output =
        bareflow(folder.path(), "tune torn --no-profile --cpu-levels v1,v2 --opt-levels 2 --write --plot torn.svg");
    assert_code(&output, 1);
    let expected = "error: torn: x86-64-v1 at opt-level 2 and x86-64-v2 at opt-level 2 return different things at call 1: 0 against 1";
    assert!(errors(&output).contains(expected), "{}", errors(&output));
    assert_eq!(fs::read(&manifest).unwrap(), before, "nothing is written");
    assert!(!folder.path().join("torn.svg").exists());
    let write = "    context.write(if cfg!(target_feature = \"sse4.2\") { b\"yes\" } else { b\"no\" });\n    7";
    let source = folder.path().join("modules/torn/src/lib.rs");
    let code = fs::read_to_string(&source).unwrap();
    let code = code.split("    let _").next().unwrap().to_owned() + write + "\n}\n";
    fs::write(source, code).unwrap();
    let output = bareflow(folder.path(), "tune torn --no-profile --cpu-levels v1,v2 --opt-levels 2");
    assert_code(&output, 1);
    assert!(errors(&output).contains(" write different things at call 1: 2 against 3 bytes"), "{}", errors(&output));
}

#[test]
fn says_which_build_faults_and_which_module_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    with_module(folder.path(), "breaks", "    panic!(\"{}\", context.input().len())");
    let output = bareflow(folder.path(), "tune breaks --no-profile --cpu-levels v1 --opt-levels 2");
    assert_code(&output, 1);
    assert!(errors(&output).contains("error: breaks, x86-64-v1 at opt-level 2: faulted: panic"), "{}", errors(&output));
    let output = bareflow(folder.path(), "tune broken");
    assert_code(&output, 2);
    assert!(errors(&output).contains("error: no module broken: there are breaks; "), "{}", errors(&output));
}

#[test]
fn loads_what_the_module_calls_first() {
    let folder = tempfile::tempdir().unwrap();
    let body = "    let called = context.call(\"helper\", context.input(), &mut [0; 8]);\n    called.map_or(-1, |called| called.result)";
    with_module(folder.path(), "caller", body);
    assert_code(&bareflow(folder.path(), "new helper"), 0);
    let manifest = folder.path().join("modules/caller/Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let depends = "\n[package.metadata.bareflow.depends]\nhelper = \"*\"\n";
    fs::write(&manifest, text + depends).unwrap();
    let words = "tune caller --no-profile --cpu-levels v1 --opt-levels 2,3 --input hello --json tuning.json";
    let output = bareflow(folder.path(), words);
    assert_code(&output, 0);
    let json: Value = serde_json::from_slice(&fs::read(folder.path().join("tuning.json")).unwrap()).unwrap();
    assert!(json["candidates"][1]["instructions"].as_u64() > Some(0), "{json}");
    assert_eq!(json["notes"], Value::Array(Vec::new()));
}

#[test]
fn takes_a_standalone_crate_by_its_name_and_by_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let run = |words: &[&str], below: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bareflow"));
        command.args(words).current_dir(folder.path().join(below)).env_remove("CARGO_TARGET_DIR");
        command.output().unwrap()
    };
    common::assert_code(&run(&["new", "--standalone", "answer"], ""), 0);
    let few = ["--cpu-levels", "v1", "--opt-levels", "2", "--no-profile", "--repeat", "5", "--input", "hi"];
    for (name, below) in [("answer", "answer"), (".", "answer"), ("./answer", "")] {
        let output = run(&[&["tune", name][..], &few].concat(), below);
        common::assert_code(&output, 0);
        assert!(common::text(&output).contains("answer/Cargo.toml"), "{}", common::text(&output));
    }
    let output = run(&["tune", "other"], "answer");
    common::assert_code(&output, 2);
    assert!(
        common::errors(&output).contains("no module other: the crate here is answer"),
        "{}",
        common::errors(&output)
    );
}
