//! The reports of panics and of used-up budgets: the whole message, who is to blame, and what to do, wherever a fault
//! is shown.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use bareflow_loader::{Domain, LoadOptions};
use common::mutate::renamed;
use common::server::{Local, refusal};
use common::{assert_code, bareflow, errors, root, test_blob, text};
use serde_json::Value;

/// Runs a blob, and returns the output and the module's part of the report.
fn run(command: &str, domain: &str, more: &[&str], blob: &Path) -> (String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let mut words: Vec<PathBuf> =
        [command, "--domain", domain].into_iter().chain(more.iter().copied()).map(PathBuf::from).collect();
    words.extend(["--json".into(), path.clone(), blob.to_owned()]);
    let output = bareflow(words);
    assert_code(&output, 1);
    let report: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    (text(&output), report["modules"][4].clone())
}

const PLACES: [(&str, &str); 4] = [("host", "kernel"), ("host", "user"), ("boot", "kernel"), ("boot", "user")];

#[test]
fn every_panic_says_all_of_its_message() {
    let cases = [
        (
            "i",
            "index out of bounds: the len is 3 but the index is 4 (tests/modules/panics/src/lib.rs:",
            "bareflow_entry+0x",
        ),
        ("expect", "there is none (tests/modules/panics/src/lib.rs:", "bareflow_entry+0x"),
        ("unwrap", "called `Result::unwrap()` on an `Err` value: 7 (tests", "bareflow_entry+0x"),
        ("escapes", "7 \\u{1b}[31mred\\nforged (tests", "bareflow_entry+0x"),
        ("inside", "inside a Display (tests", "panics::Numbers as "),
    ];
    for (input, message, function) in cases {
        for domain in ["kernel", "user"] {
            let (shown, module) = run("host", domain, &["--input", input], &test_blob("panics"));
            assert!(shown.contains(&format!("  panicked: {message}")), "{input} {domain}\n{shown}");
            assert!(module["diagnosis"]["panic"].as_str().unwrap().starts_with(message), "{module}");
            assert!(module["fault"]["function"].as_str().unwrap().contains(function), "{module}");
            // The handler is the same in every module.
            assert_eq!(module["diagnosis"]["disassembly"], Value::Array(Vec::new()));
            assert!(!shown.contains("rust_begin_unwind") && !shown.contains("ud1"), "{shown}");
        }
    }
}

#[test]
fn a_panic_is_told_in_every_place_and_says_where_it_was_cut() {
    let numbers: String = (0..100).map(|number| format!("{number},")).collect();
    let kept = &numbers[..256];
    for (command, domain) in PLACES {
        let (shown, module) = run(command, domain, &["--input", "long"], &test_blob("panics"));
        let line = format!("  panicked: {kept} .. (cut after 256 bytes) (tests/modules/panics/src/lib.rs:");
        assert!(shown.contains(&line), "{command} {domain}\n{shown}");
        let function = module["fault"]["function"].as_str().unwrap_or_else(|| panic!("{command} {domain} {module}"));
        assert!(function.starts_with("bareflow_entry+0x"), "{function}");
    }
}

#[test]
fn used_up_budgets_say_what_to_write() {
    let heap = "it asked for ";
    for (command, domain) in PLACES {
        let (shown, module) = run(command, domain, &["--input", "exhaust"], &test_blob("heap"));
        let remedy = module["diagnosis"]["remedy"].as_str().unwrap_or_else(|| panic!("{command} {domain} {module}"));
        assert!(
            remedy.starts_with(heap) && remedy.contains("bytes more, its heap has 256K: set heap = \"512K\" in "),
            "{remedy}"
        );
        assert!(shown.contains(&format!("\n  {remedy}\n")), "{shown}");
        let function = module["fault"]["function"].as_str().unwrap();
        assert!(!function.contains("stop_if_used_up") && !function.contains("__rust"), "{function}");
        let (shown, module) =
            run(command, domain, &["--input", "recursion", "--budget", "stack=16K"], &test_blob("faults"));
        let remedy = "its stack has 16K: set stack = \"32K\" in [package.metadata.bareflow] if it needs more";
        assert_eq!(module["diagnosis"]["remedy"], remedy, "{shown}");
    }
}

/// Makes a crate with `code`, `metadata`, and `features` of `bareflow-abi`.
fn crate_with(folder: &Path, name: &str, features: &str, metadata: &str, code: &str) -> String {
    let path = folder.join(name);
    fs::create_dir_all(path.join("src")).unwrap();
    let abi = root().join("abi");
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         bareflow-abi = {{ path = {abi:?}, features = [{features}] }}\n\n\
         [package.metadata.bareflow]\n{metadata}\n\n[workspace]\n"
    );
    fs::write(path.join("Cargo.toml"), manifest).unwrap();
    fs::write(path.join("src/lib.rs"), code).unwrap();
    format!("{}/", path.display())
}

#[test]
fn examples_show_panics_with_their_words() {
    let folder = tempfile::tempdir().unwrap();
    let code = "#![no_std]\nuse bareflow_abi::Context;\nbareflow_abi::module!(work);\n\
                pub fn work(context: &mut Context<'_>) -> i32 { part(context.input().len()) }\n\
                #[inline(never)]\nfn part(length: usize) -> i32 { [1, 2][length] }\n";
    let example = "[[package.metadata.bareflow.example]]\ninput = \"four\"\nresult = 1";
    let path = crate_with(folder.path(), "wordy", "", example, code);
    let output = bareflow(["test", "--boot", &path]);
    assert_code(&output, 1);
    let shown = errors(&output);
    let said = shown.lines().filter(|line| {
        line.contains(" in wordy::part+0x")
            && line.contains("index out of bounds: the len is 2 but the index is 4 (src/lib.rs:6)")
    });
    let places =
        "error: wordy 0.1.0, host, kernel domain; host, user domain; kernel, kernel domain; kernel, user domain: ";
    assert_eq!(said.map(|line| line.starts_with(places)).collect::<Vec<_>>(), [true], "once for all places\n{shown}");
}

/// The parts of the message about a panic in the `init` of the module `early`.
const EARLY: [&str; 3] =
    ["init faulted: panic at offset ", "early::", ": no table of 3 rows (tests/modules/early/src/lib.rs:"];

#[test]
fn a_panic_while_a_module_is_loaded_says_all_of_its_message() {
    for (command, domain) in PLACES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let words = [command.as_ref(), "--domain".as_ref(), domain.as_ref(), "--json".as_ref(), path.as_os_str()];
        let output = bareflow(words.into_iter().chain([test_blob("early").as_os_str()]));
        assert_code(&output, 1);
        let shown = text(&output);
        let line = shown.lines().find(|line| line.starts_with("[ERROR]")).unwrap_or_else(|| panic!("{shown}"));
        assert!(EARLY.iter().all(|part| line.contains(part)), "{command} {domain}\n{shown}");
        assert!(shown.contains("  panicked: no table of 3 rows (tests/modules/early/src/lib.rs:"), "{shown}");
        let report: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let error = report["refused"][0]["error"].as_str().unwrap_or_else(|| panic!("{report}"));
        assert!(EARLY.iter().all(|part| error.contains(part)), "{command} {domain} {error}");
    }
}

#[test]
fn a_client_is_told_all_of_a_panic_while_its_module_is_loaded() {
    for domain in Domain::ALL {
        let local = Local::new(LoadOptions { domain, ..LoadOptions::default() });
        let error = refusal(local.push(&fs::read(test_blob("early")).unwrap(), |_| ()));
        assert!(EARLY.iter().all(|part| error.contains(part)), "{domain:?} {error}");
        local.load(&renamed("counter", "early", (1, 0, 0)));
        let error = refusal(local.push(&renamed("early", "early", (2, 0, 0)), |_| ()));
        let migrate = ["migrate faulted: panic at offset ", ": nothing like 1.0 (tests/modules/early/src/lib.rs:"];
        assert!(migrate.iter().all(|part| error.contains(part)), "{domain:?} {error}");
        let console = local.server.environment().console.borrow();
        assert!(
            console.contains("  panicked: no table of 3 rows (") && console.contains("  panicked: nothing like 1.0")
        );
    }
    // Loads at the start.
    let local = Local::new(LoadOptions::default());
    local.server.load_at_startup("early.mod", Box::leak(fs::read(test_blob("early")).unwrap().into_boxed_slice()));
    let console = local.server.environment().console.borrow();
    assert!(console.contains("[ERROR] early.mod: init faulted: panic at offset "), "{console}");
    assert!(EARLY.iter().all(|part| console.contains(part)), "{console}");
}

#[test]
fn tests_and_tune_tell_a_panic_while_a_module_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let code = "#![no_std]\nuse bareflow_abi::Context;\nbareflow_abi::module!(work, init = init);\n\
                pub fn work(_: &mut Context<'_>) -> i32 { 0 }\n\
                fn init() -> i32 { panic!(\"too {}\", \"early\") }\n";
    let example = "[[package.metadata.bareflow.example]]\nresult = 0";
    let path = crate_with(folder.path(), "hasty", "", example, code);
    for words in [&["test", "--boot"][..], &["tune", "--repeat", "1", "--opt-levels", "3", "--no-profile"]] {
        let output = bareflow(words.iter().copied().chain([&*path]));
        assert!(!output.status.success());
        let shown = errors(&output);
        assert!(
            shown.contains("init faulted: panic at offset ") && shown.contains(": too early (src/lib.rs:5)"),
            "{shown}"
        );
    }
}
