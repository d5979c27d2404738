//! `watch`: from a saved file to a running module.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common;
use crate::fake_kernel::Bench;
use crate::serving::Served;

/// Makes a workspace, with a module `answer` if `with_answer` is set.
pub fn workspace(folder: &Path, with_answer: bool) {
    common::workspace::workspace(folder);
    if !with_answer {
        return;
    }
    let made = Command::new(env!("CARGO_BIN_EXE_bareflow")).args(["new", "answer"]).current_dir(folder).output();
    assert!(made.unwrap().status.success());
}

/// Starts `watch` and waits until it watches.
fn start(bench: &Bench, folder: &Path, more: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bareflow"));
    command.args(["watch", "answer", "--socket"]).arg(bench.socket()).args(more);
    command.current_dir(folder).env_remove("CARGO_TARGET_DIR").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.starts_with("watching "), "{line}");
    (child, output)
}

fn next_line(output: &mut impl BufRead) -> String {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line
}

#[test]
fn a_saved_file_is_built_and_pushed() {
    let (bench, folder) = (Bench::start(), tempfile::tempdir().unwrap());
    workspace(folder.path(), true);
    let source = folder.path().join("modules/answer/src/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    let json = folder.path().join("round.json");
    let (mut child, mut output) = start(&bench, folder.path(), &["--json", json.to_str().unwrap()]);
    // The present state is built and loaded first.
    assert!(next_line(&mut output).ends_with(" ms: running\n"));
    for round in 2..=4 {
        fs::write(&source, format!("{text}// round {round}\n")).unwrap();
        let line = next_line(&mut output);
        let parts = [" answer 1.0.0 (load ", ": compile ", " ms, pack ", " ms, transfer ", " ms, kernel "];
        assert!(parts.iter().all(|part| line.contains(part)) && line.ends_with(" ms: running\n"), "{line}");
        bench.wait(|seen| seen.pushes == round);
    }
    // A changed version is first entered into the lock file.
    let manifest = source.with_file_name("../Cargo.toml");
    let changed = fs::read_to_string(&manifest).unwrap().replace("0.1.0", "0.2.0");
    fs::write(&manifest, changed).unwrap();
    assert!(next_line(&mut output).ends_with(" ms: running\n"));
    let round: serde_json::Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    assert!(round["compile_ms"].as_f64().unwrap() > 0.0 && round["error"].is_null(), "{round}");
    assert_eq!((&round["schema"], &round["generation"]), (&1.into(), &6.into()));
    // Nothing was pushed without a save.
    assert_eq!(bench.seen.lock().unwrap().pushes, 5);
    bench.end();
    assert_eq!(next_line(&mut output), "the kernel is gone; waiting for the next one\n");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn once_ends_after_one_round() {
    let (bench, folder) = (Bench::start(), tempfile::tempdir().unwrap());
    workspace(folder.path(), true);
    let source = folder.path().join("modules/answer/src/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    let (child, _output) = start(&bench, folder.path(), &["--once"]);
    fs::write(&source, format!("{text}\nfn broken() -> i32 {{ \"\" }}\n")).unwrap();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains(" answer 0.1.0: ") && said.contains("mismatched types"), "{said}");
    let (mut child, mut output) = start(&bench, folder.path(), &["--once"]);
    fs::write(&source, text).unwrap();
    assert!(next_line(&mut output).ends_with(" ms: running\n"));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    bench.end();
}

#[test]
fn a_standalone_crate_is_watched_and_goes_to_the_next_kernel() {
    let folder = tempfile::tempdir().unwrap();
    let mut new = Command::new(env!("CARGO_BIN_EXE_bareflow"));
    let made = new.args(["new", "--standalone", "answer"]).current_dir(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", common::errors(&made));
    let mut first = Served::start(&[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_bareflow"));
    command.args(["watch", "answer", "--socket"]).arg(first.socket());
    command.current_dir(folder.path().join("answer")).env_remove("CARGO_TARGET_DIR").stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    assert!(next_line(&mut output).starts_with("watching "));
    assert!(next_line(&mut output).ends_with(" ms: running\n"));
    assert!(first.run(&["ps"]).contains("\nanswer "));
    first.restart();
    assert_eq!(next_line(&mut output), "the kernel is gone; waiting for the next one\n");
    fs::write(folder.path().join("answer/src/.lib.rs.swp"), "no save").unwrap();
    let source = folder.path().join("answer/src/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    fs::write(&source, format!("{text}// saved\n")).unwrap();
    let line = next_line(&mut output);
    assert!(line.contains(" answer 0.1.0 (load 1): ") && line.ends_with(" ms: running\n"), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}
