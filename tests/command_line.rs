//! The command line's contract: text, JSON, exit codes, errors.

mod common;

use bareflow_loader::RawModule;
use common::console::assert_console;
use common::mutate::refused_files;
use common::{assert_code, bareflow, blob, errors, root, test_blob, text};
use serde_json::Value;

fn json(path: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn host_shows_the_c_systems_text_and_writes_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let output = bareflow(["host", "--json", path.to_str().unwrap()]);
    assert_code(&output, 0);
    assert_console(&text(&output));
    assert!(!text(&output).contains('\x1b'), "a pipe gets no colours");
    let report = json(&path);
    assert_eq!(report["schema"], 1);
    assert_eq!(report["environment"]["where"], "host");
    assert_eq!(report["environment"]["clock"], "tsc");
    assert_eq!(report["environment"]["timing"], "precise");
    assert_eq!((&report["total_modules"], &report["total_calls"]), (&4.into(), &13.into()));
    assert_eq!(report["passed"], true);
    let module = &report["modules"][2];
    assert_eq!(
        (&module["name"], &module["call_count"], &module["last_result"]),
        (&"compute".into(), &10.into(), &4_488_500.into())
    );
    assert!(module["code_address"].as_str().unwrap().starts_with("0x"));
    let sum = &report["modules"][1];
    assert_eq!((&sum["code_size"], &sum["blob_size"], &sum["cpu_level"]), (&6.into(), &134.into(), &1.into()));
    let level = if bareflow_host::cpu_level() < 3 { 1 } else { 3 };
    assert_eq!(module["cpu_level"], level, "the best code that this machine can run");
    assert_eq!(
        report["tests"][0],
        serde_json::json!({ "module": "sum", "expected": 5050, "result": 5050, "passed": true, "output_checksum": null })
    );
}

#[test]
fn host_refuses_bad_blobs_and_runs_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let files = refused_files(folder.path(), &std::fs::read(blob("sum")).unwrap());
    let mut arguments = vec!["host".into(), "--json".into(), path.clone(), folder.path().join("missing.mod")];
    arguments.extend(files.iter().map(|(file, _)| file.clone()));
    arguments.push(test_blob("echo"));
    let output = bareflow(&arguments);
    assert_code(&output, 1);
    let refused = json(&path)["refused"].clone();
    for ((file, message), refusal) in files.iter().zip(refused.as_array().unwrap()) {
        assert_eq!(refusal["source"], file.to_str().unwrap());
        assert!(refusal["error"].as_str().unwrap().contains(message), "{refusal}, expected {message}");
        if !message.starts_with("already") {
            assert!(text(&output).contains(&format!("[ERROR] {}: {message}", file.display())), "{}", text(&output));
        }
    }
    assert!(text(&output).contains("\n[WARN] Module already loaded: sum\n"));
    assert!(errors(&output).contains("missing.mod: can't read: "), "{}", errors(&output));
    assert_eq!(refused.as_array().unwrap().len(), files.len() + 1);
    assert!(text(&output).contains("[TEST 5] echo Module"));
}

#[test]
fn an_embedded_blob_stands_for_itself() {
    let output = bareflow([std::ffi::OsString::from("host"), blob("sum").into()]);
    assert_code(&output, 0);
    assert_console(&text(&output));
}

#[test]
fn modules_get_input_and_give_output() {
    let arguments = ["host", "--input", "h\u{e9}llo", "--repeat", "3"].map(std::ffi::OsString::from);
    let output = bareflow(arguments.into_iter().chain([test_blob("echo").into(), test_blob("all-in-one").into()]));
    assert_code(&output, 0);
    let text = text(&output);
    assert!(text.contains("  [LOG] echo: h\u{e9}llo\n"), "{text}");
    assert!(text.contains("[TEST 5] echo Module\n"), "{text}");
    assert!(text.contains("  Result: 6\n  Output: h\u{e9}llo\n  [OK] Test passed!\n"), "{text}");
    assert!(text.contains("  Result: 1023 (expected: 1023)\n  Output: call 3: "), "{text}");
}

#[test]
fn input_may_be_a_file() {
    let input = root().join("tests/modules/echo/Cargo.toml");
    let output =
        bareflow([std::ffi::OsString::from("host"), "--input".into(), input.clone().into(), test_blob("echo").into()]);
    assert_code(&output, 0);
    let length = std::fs::metadata(input).unwrap().len();
    assert!(text(&output).contains(&format!("  Result: {length}\n")), "{}", text(&output));
}

#[test]
fn a_panic_is_a_fault_of_that_module_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let output = bareflow(["host".into(), "--json".into(), path.clone(), test_blob("panics"), test_blob("echo")]);
    assert_code(&output, 1);
    assert!(text(&output).contains("panicked: a module's own words"), "{}", text(&output));
    let report = json(&path);
    assert_eq!(report["modules"][4]["fault"]["kind"], "panic");
    assert_eq!(report["modules"][4]["state"], "faulted");
    assert_eq!(report["tests"][5]["passed"], true, "echo runs behind it");
}

#[test]
fn inspect_shows_a_blob_and_its_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inspection.json");
    let output = bareflow(["inspect".into(), blob("fibonacci"), "--json".into(), path.clone()]);
    assert_code(&output, 0);
    assert!(text(&output).contains("mov eax, 0x1a6d"), "{}", text(&output));
    assert_eq!(json(&path)["verdict"], "valid");
    let output = bareflow(["inspect".into(), blob("compute"), "--json".into(), path.clone()]);
    assert_code(&output, 0);
    assert!(text(&output).contains("\nVariant for x86-64-v3, entry 0x"), "{}", text(&output));
    assert!(text(&output).contains("ymm0"), "{}", text(&output));
    assert_eq!(json(&path)["variants"][0]["cpu_level"], 3);
    for (file, message) in refused_files(folder.path(), &std::fs::read(blob("sum")).unwrap()) {
        let output = bareflow(["inspect".into(), file.clone()]);
        // A duplicate is only refused together with the other module.
        let valid = message.starts_with("already");
        assert_code(&output, i32::from(!valid));
        assert_eq!(text(&output).contains(&format!("Verdict: refused: {message}")), !valid, "{}", text(&output));
    }
}

#[test]
fn inspect_of_a_missing_file_exits_with_1() {
    let output = bareflow(["inspect", "/no/such/file.mod"]);
    assert_code(&output, 1);
    assert!(errors(&output).contains("[ERROR] /no/such/file.mod: can't read: "), "{}", errors(&output));
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [
        &["bogus"][..],
        &["host", "--repeat", "0"],
        &["host", "--timing", "slow"],
        &["host", "--domain", "ring3"],
        &["host", "--budget", "time=fast"],
        &["boot", "--budget", "stack=16G"],
        &["boot", "--on-fault", "ignore"],
        &["inject", "--count", "0"],
        &["inject", "/no/such/file.mod"],
        &["boot", "--timeout", "0"],
        &["boot", "--machine", "no-such-machine"],
        &["new", "Upper"],
        &["build", "no-such-module"],
        &["tune", "no-such-module"],
        &["tune", "sum", "--cpu-levels", "v5"],
        &["tune", "sum", "--opt-levels", "4"],
        &["tune", "sum", "--repeat", "0"],
    ] {
        let output = bareflow(arguments);
        assert_code(&output, 2);
        assert!(errors(&output).contains("error"), "{arguments:?}: {}", errors(&output));
    }
}

#[test]
fn host_runs_the_same_blobs_in_a_process_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let files = ["all-in-one", "echo", "heap"].map(test_blob);
    let arguments = ["host", "--domain", "user", "--input", "hello", "--json"].map(std::path::PathBuf::from);
    let output = bareflow(arguments.into_iter().chain([path.clone()]).chain(files));
    assert_code(&output, 0);
    let report = json(&path);
    assert!(report["modules"].as_array().unwrap().iter().all(|module| module["domain"] == "user"));
    assert_eq!(report["environment"]["domains"][1]["domain"], "user");
}

#[test]
fn a_fault_shows_what_a_person_needs() {
    for domain in ["kernel", "user"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let arguments = ["host", "--domain", domain, "--input", "panic_words", "--json"].map(std::path::PathBuf::from);
        let output = bareflow(arguments.into_iter().chain([path.clone(), test_blob("faults")]));
        assert_code(&output, 1);
        let (shown, report) = (text(&output), json(&path));
        assert!(shown.contains("[FAULT] module faults 0.1.0: panic at offset 0x"), "{shown}");
        assert!(shown.contains("  panicked: ") && shown.contains("  rip    0x"), "{shown}");
        let diagnosis = &report["modules"][4]["diagnosis"];
        assert_eq!(diagnosis["registers"][0]["name"], "rip");
        // A panic's own instruction says nothing about it; the instruction of another fault is its cause.
        assert_eq!(diagnosis["disassembly"], Value::Array(Vec::new()));
        let arguments =
            ["host", "--domain", domain, "--input", "divide_by_zero", "--json"].map(std::path::PathBuf::from);
        assert_code(&bareflow(arguments.into_iter().chain([path.clone(), test_blob("faults")])), 1);
        let report = json(&path);
        let instruction = report["modules"][4]["diagnosis"]["disassembly"][0].as_str().unwrap();
        assert!(instruction.contains("div "), "{instruction}");
    }
}

#[test]
fn a_module_is_restarted_as_often_as_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let arguments = ["host", "--on-fault", "restart:2", "--repeat", "5", "--json"].map(std::path::PathBuf::from);
    let output = bareflow(arguments.into_iter().chain([path.clone(), test_blob("panics")]));
    assert_code(&output, 1);
    let module = &json(&path)["modules"][4];
    assert_eq!((module["faults"].as_u64(), module["restarts"].as_u64()), (Some(3), Some(2)));
    assert_eq!((module["state"].as_str(), module["call_count"].as_u64()), (Some("faulted"), Some(3)));
}

#[test]
fn a_module_keeps_to_its_budgets() {
    for domain in ["kernel", "user"] {
        let cases = [
            ("faults", "loop_forever", "time=20ms", "time_budget"),
            ("heap", "exhaust", "heap=64K", "heap_budget"),
            ("faults", "recursion", "stack=16K", "stack_overflow"),
        ];
        for (module, input, budget, kind) in cases {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("report.json");
            let arguments = ["host", "--domain", domain, "--input", input, "--budget", budget, "--json"];
            let arguments = arguments.map(std::path::PathBuf::from).into_iter();
            let output = bareflow(arguments.chain([path.clone(), test_blob(module)]));
            assert_code(&output, 1);
            assert_eq!(json(&path)["modules"][4]["fault"]["kind"], kind, "{domain} {module} {input}");
        }
    }
}

#[test]
fn build_lists_the_blobs() {
    let output = bareflow(["build", "sum", "primes"]);
    assert_code(&output, 0);
    let text = text(&output);
    let sum = text.lines().find(|line| line.starts_with("sum ")).unwrap();
    assert_eq!(sum.split_whitespace().take(3).collect::<Vec<_>>(), ["sum", "6", "134"]);
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn blobs_keep_within_their_bounds() {
    for (name, bound) in [("fibonacci", 160), ("sum", 160), ("primes", 288), ("compute", 704)] {
        let bytes = std::fs::read(blob(name)).unwrap();
        let size = bytes.len() - RawModule::parse(&bytes).unwrap().records.len();
        assert!(size <= bound, "{name} has {size} bytes, at most {bound} are allowed");
    }
}

#[test]
fn without_a_command_the_help_is_shown() {
    let output = bareflow([""; 0]);
    assert_code(&output, 2);
    assert!(errors(&output).contains("Usage: bareflow") && errors(&output).contains("serve"), "{}", errors(&output));
}

#[test]
fn what_can_not_be_written_is_an_error() {
    let sum = blob("sum");
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("disk.img");
    let (sum, image) = (sum.to_str().unwrap(), image.to_str().unwrap());
    let cases: [&[&str]; 8] = [
        &["--help"],
        &["--version"],
        &["host"],
        &["build", "sum"],
        &["inspect", sum],
        &["disk", "create", image, sum],
        &["disk", "list", image],
        &["inspect", sum, "--json", "-"],
    ];
    for words in cases {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bareflow"));
        let output = command.args(words).current_dir(root()).stdout(full).output().unwrap();
        assert_code(&output, 2);
        assert!(
            errors(&output).contains("error: can't write to standard output: No space left"),
            "{}",
            errors(&output)
        );
    }
    // A reader that stops is not an error.
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bareflow"));
    command.arg("host").current_dir(root()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // Nor may a failed write to standard error cause a panic.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bareflow"));
    assert_eq!(command.args(["inspect", "/no/such"]).stderr(full).status().unwrap().code(), Some(1));
}

#[test]
fn json_on_standard_output_is_json_alone() {
    let output = bareflow(["host", "--json", "-"]);
    assert_code(&output, 0);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["total_calls"], 13);
    assert_console(&errors(&output));
    let output = bareflow(["host", "--json", "-", "--quiet"]);
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["passed"], true);
    assert_eq!(errors(&output), "");
    let output = bareflow(["-q", "host"]);
    assert_code(&output, 0);
    assert_eq!((text(&output), errors(&output)), (String::new(), String::new()));
}

#[test]
fn a_place_for_json_is_tried_before_the_run_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.json");
    std::fs::write(&kept, "before").unwrap();
    for path in ["/nonexistent/x.json", "/"] {
        let output = bareflow(["host", "--json", path]);
        assert_code(&output, 2);
        assert!(errors(&output).contains("nothing was done") && text(&output).is_empty(), "{}", errors(&output));
    }
    let output = bareflow(["build", "no-such", "--json", kept.to_str().unwrap()]);
    assert_code(&output, 2);
    for path in [&kept, &folder.path().join("new.json")] {
        let output = bareflow(["host", "--input", "@/no/such", "--json", path.to_str().unwrap()]);
        assert_code(&output, 2);
    }
    assert_eq!(std::fs::read(&kept).unwrap(), b"before");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_last_lines_say_what_failed() {
    let files = ["/no/such.mod".into(), test_blob("panics")];
    let output = bareflow([std::path::PathBuf::from("host")].into_iter().chain(files));
    assert_code(&output, 1);
    let said = errors(&output);
    let summary = said.split_once("error: not all passed:\n").unwrap().1;
    let lines: Vec<_> = summary.lines().collect();
    assert!(lines[0].starts_with("  refused  /no/such.mod: can't read: "), "{said}");
    assert!(lines[1].starts_with("  faulted  panics 0.1.0: panic"), "{said}");
    assert_eq!(errors(&bareflow(["host"])), "");
}

#[test]
fn inspect_of_what_is_no_blob_says_so_and_shows_no_fields() {
    let output = bareflow(["inspect", "Cargo.toml"]);
    assert_code(&output, 1);
    let shown = text(&output);
    assert!(shown.starts_with("Cargo.toml: ") && shown.contains(" bytes\nno blob of a module\n"), "{shown}");
    assert!(shown.contains("Verdict: refused: ") && shown.lines().count() == 4, "{shown}");
}

#[test]
fn no_more_is_read_than_a_module_may_have() {
    let socket = ["push", "/dev/zero", "--socket", "/no/such/socket"];
    for (words, code) in [(&socket[..], 2), (&["inspect", "/dev/zero"], 1), (&["host", "/dev/zero"], 1)] {
        let output = bareflow(words);
        assert_code(&output, code);
        assert!(errors(&output).contains("/dev/zero: more than "), "{}", errors(&output));
        assert!(!errors(&output).contains("can't read"), "{}", errors(&output));
    }
}

#[test]
fn an_input_may_come_from_standard_input() {
    use std::io::Write;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bareflow"));
    command.args(["host", "--input", "-"]).arg(test_blob("echo")).current_dir(root());
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from a pipe").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_code(&output, 0);
    assert!(text(&output).contains("  Output: from a pipe\n"), "{}", text(&output));
    let output = bareflow(["host", "--input", "./no-such-file.bin"]);
    assert_code(&output, 0);
    assert!(errors(&output).starts_with("warning: there is no file ./no-such-file.bin"), "{}", errors(&output));
}

#[test]
fn a_kernel_is_looked_for_where_the_variable_and_the_runtime_folder_say() {
    let folder = tempfile::tempdir().unwrap();
    let said = |variable: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bareflow"));
        command.arg("ps").current_dir(folder.path()).env_remove("BAREFLOW_SOCKET");
        let output = command.env(variable, folder.path().join("x")).output().unwrap();
        assert_code(&output, 2);
        errors(&output)
    };
    let place = folder.path().join("x").display().to_string();
    assert!(said("BAREFLOW_SOCKET").contains(&format!("no kernel at {place}: ")), "{}", said("BAREFLOW_SOCKET"));
    let looked_for = format!("no kernel at {place}/bareflow.sock: ");
    assert!(said("XDG_RUNTIME_DIR").contains(&looked_for), "{}", said("XDG_RUNTIME_DIR"));
}
