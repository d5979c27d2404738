//! `new` in a workspace of its own: the new module can be compiled, tested, packed and run as it is.

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::workspace::workspace;
use common::{assert_code, errors, text};

fn run(program: &str, arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env_remove("CARGO_TARGET_DIR").output().unwrap()
}

fn bareflow(arguments: &[&str], folder: &Path) -> Output {
    run(env!("CARGO_BIN_EXE_bareflow"), arguments, folder)
}

#[test]
fn makes_a_module_that_builds_as_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    workspace(folder.path());
    // This also works from a folder inside the workspace.
    assert_code(&bareflow(&["new", "word-count"], &folder.path().join("modules")), 0);
    assert_code(&run(env!("CARGO"), &["test", "--offline", "--locked", "-p", "word-count"], folder.path()), 0);
    assert_code(&bareflow(&["build", "word-count"], folder.path()), 0);
    let output = bareflow(&["host", "target/modules/word-count.mod", "--input", "hello"], folder.path());
    assert_code(&output, 0);
    let shown = text(&output);
    assert!(shown.contains("[TEST 5] word-count Module\n  [LOG] word-count: word-count runs\n"), "{shown}");
    assert!(shown.contains("  Result: 5\n  Output: hello\n  [OK] Test passed!\n"), "{shown}");
}

#[test]
fn leaves_nothing_behind_when_it_can_not() {
    let folder = tempfile::tempdir().unwrap();
    workspace(folder.path());
    // Another crate has the name, in a folder of another name.
    assert_code(&bareflow(&["new", "taken"], folder.path()), 0);
    std::fs::rename(folder.path().join("modules/taken"), folder.path().join("modules/elsewhere")).unwrap();
    let cases = [
        ("loop", "Rust keeps it for itself"),
        ("bareflow-abi", "every module needs the crate of that name"),
        ("taken", "can't enter the module"),
    ];
    for (name, expected) in cases {
        let output = bareflow(&["new", name], folder.path());
        assert_code(&output, 2);
        assert!(errors(&output).contains(expected), "{}", errors(&output));
        assert!(!folder.path().join("modules").join(name).exists(), "{name}");
    }
    assert_code(&bareflow(&["new", "twice"], folder.path()), 0);
    let output = bareflow(&["new", "twice"], folder.path());
    assert_code(&output, 2);
    assert!(errors(&output).contains("is there already"), "{}", errors(&output));
}
