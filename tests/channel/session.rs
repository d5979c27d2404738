//! The README's session, run with the real kernel.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::root;
use crate::serving::Served;
use crate::watching::workspace;

/// The lines of the README before and after the session.
const BORDERS: [&str; 2] = ["<!-- the session -->\n```text\n", "```\n<!-- its end -->\n"];

/// Runs a command, and appends it and its output to `record`.
fn run(record: &mut String, folder: &Path, socket: &Path, words: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bareflow"));
    command.args(words.split(' ')).current_dir(folder).env_remove("CARGO_TARGET_DIR");
    if !["new", "build"].contains(&words.split(' ').next().unwrap_or_default()) {
        command.arg("--socket").arg(socket);
    }
    let output = command.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}\n{shown}");
    *record += &format!("$ bareflow {words}\n{shown}");
}

/// Saves a change while `watch` is running, and appends its output to `record`.
fn watch(record: &mut String, folder: &Path, socket: &Path, change: impl FnOnce(&str) -> String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bareflow"));
    command.args(["watch", "answer", "--once", "--socket"]).arg(socket);
    command.current_dir(folder).env_remove("CARGO_TARGET_DIR").stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut shown = String::new();
    output.read_line(&mut shown).unwrap();
    let source = folder.join("modules/answer/src/lib.rs");
    fs::write(&source, change(&fs::read_to_string(&source).unwrap())).unwrap();
    output.read_line(&mut shown).unwrap();
    assert!(child.wait().unwrap().success(), "{shown}");
    *record += &format!("$ bareflow watch answer --once     # and a file of the crate is saved in an editor\n{shown}");
}

/// Returns the text without what differs from run to run: numbers, runs of spaces, and the folder's path.
fn essence(text: &str) -> String {
    let mut essence = String::new();
    let mut last = ' ';
    for character in text.chars() {
        let character = match character {
            digit if digit.is_ascii_digit() => '0',
            other => other,
        };
        if !(character == last && [' ', '0'].contains(&character)) {
            essence.push(character);
        }
        last = character;
    }
    essence
}

#[test]
fn the_readmes_session_is_what_happens() {
    let folder = tempfile::tempdir().unwrap();
    workspace(folder.path(), false);
    let served = Served::start(&[]);
    let socket = served.socket();
    let mut record = String::new();
    let all = &mut record;
    run(all, folder.path(), &socket, "new answer");
    run(all, folder.path(), &socket, "build answer");
    *all += "$ bareflow serve &                 # or in another terminal\n";
    run(all, folder.path(), &socket, "push target/modules/answer.mod");
    run(all, folder.path(), &socket, "call answer --input hello");
    watch(all, folder.path(), &socket, |text| format!("{text}// A change.\n"));
    run(all, folder.path(), &socket, "call answer --repeat 1000");
    run(all, folder.path(), &socket, "ps");
    run(all, folder.path(), &socket, "unload answer");
    run(all, folder.path(), &socket, "shutdown");
    assert_eq!(served.end().0, Some(0));
    let record = record.replace(&format!("{}/", folder.path().display()), "");
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let [begin, end] = BORDERS;
    let (before, rest) = readme.split_once(begin).expect("README.md shows a session");
    let (shown, behind) = rest.split_once(end).expect("the session has an end");
    if std::env::var_os("BAREFLOW_BLESS").is_some() {
        fs::write(&path, [before, begin, &record, end, behind].concat()).unwrap();
        return;
    }
    let remedy = "run with BAREFLOW_BLESS=1 to write README.md anew";
    assert_eq!(essence(shown), essence(&record), "{remedy}");
}
