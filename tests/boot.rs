//! Boots, through the one runner. A test that fails shows the console.

mod common;

use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bareflow::embedded::KERNEL;
use bareflow::input_files::InputFiles;
use bareflow::qemu::{ExitReason, Machine, RunOutcome};
use bareflow_builder::kernel::archive;
use bareflow_loader::FaultPolicy;
use bareflow_protocol::KernelOptions;
use bareflow_protocol::options::Task;
use bareflow_suite::archive::OPTIONS;
use common::console::assert_console;
use common::mutate::{depending, file, refused_files, renamed, with_header};
use common::qmp::qmp;
use common::{assert_code, bareflow, blob, options, test_blob, text};

fn machine() -> Machine {
    assert!(!KERNEL.is_empty(), "this build has no kernel; run `make setup`");
    Machine::new(KERNEL)
}

#[track_caller]
fn run(machine: &Machine, expected: ExitReason) -> RunOutcome {
    let outcome = machine.run(|_| ()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.exit_reason, expected, "\n{}\n{}", outcome.console, outcome.complaints);
    outcome
}

fn input_files(paths: &[std::path::PathBuf], input: &[u8]) -> InputFiles {
    let read = |path: &std::path::PathBuf| (path.display().to_string(), std::fs::read(path).unwrap());
    InputFiles { blobs: paths.iter().map(read).collect(), input: input.to_vec(), ..InputFiles::default() }
}

#[test]
fn boots_on_every_machine_and_processor() {
    for name in ["q35", "pc", "microvm"] {
        for cpu in ["max", "qemu64", "Nehalem"] {
            let outcome = run(&Machine { machine: name.into(), cpu: cpu.into(), ..machine() }, ExitReason::Passed);
            assert_console(&outcome.console.replace('\r', ""));
            assert!(outcome.report.is_some_and(|report| report.passed), "{name} {cpu}");
        }
    }
}

#[test]
fn runs_everything_at_once_and_contains_a_panic() {
    let files = ["all-in-one", "echo", "panics"].map(test_blob);
    let options = KernelOptions { repeat: 3, ..KernelOptions::default() };
    let machine = Machine { files: input_files(&files, b"hello"), options, ..machine() };
    let outcome = run(&machine, ExitReason::Failed);
    let console = &outcome.console;
    assert!(console.contains("  Result: 1023 (expected: 1023)\n  Output: call 3: "), "{console}");
    assert!(console.contains("  [LOG] echo: hello\n"), "{console}");
    assert!(console.contains("[FAULT] module panics 0.1.0: panic at offset "), "{console}");
    assert!(console.contains("=== ALL MODULE TESTS COMPLETED ==="), "{console}");
    let report = outcome.report.unwrap();
    assert_eq!(report.modules[6].fault.as_ref().map(|fault| &*fault.kind), Some("panic"));
    assert_eq!(report.tests.iter().filter(|test| test.passed).count(), 6);
}

#[test]
fn refuses_bad_blobs_and_runs_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let refused = refused_files(folder.path(), &std::fs::read(blob("sum")).unwrap());
    let files: Vec<_> = refused.iter().map(|(path, _)| path.clone()).collect();
    let outcome = run(&Machine { files: input_files(&files, b""), ..machine() }, ExitReason::Failed);
    let report = outcome.report.unwrap();
    assert_eq!(report.refused.len(), refused.len());
    for ((path, message), refusal) in refused.iter().zip(&report.refused) {
        assert_eq!(refusal.source, path.display().to_string());
        assert!(refusal.error.contains(message), "{refusal:?}, expected {message}");
    }
    assert!(report.tests.iter().all(|test| test.passed));
}

#[test]
fn a_report_says_which_level_the_processor_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let sum = std::fs::read(blob("sum")).unwrap();
    let files = [("level-3.mod", 3), ("level-0.mod", 0)]
        .map(|(name, level)| file(folder.path(), name, &with_header(&sum, |header| header.cpu_level = level)));
    let machine = Machine { files: input_files(&files, b""), cpu: "qemu64".into(), ..machine() };
    let report = run(&machine, ExitReason::Failed).report.unwrap();
    let levels: Vec<_> = report.refused.iter().map(|refusal| refusal.missing_cpu_level).collect();
    assert_eq!(levels, [Some(3), None], "{:?}", report.refused);
}

/// Returns the kind of a module's fault in a report, if there is one.
fn kind(outcome: &RunOutcome, module: usize) -> Option<&str> {
    outcome.report.as_ref()?.modules[module].fault.as_ref().map(|fault| &*fault.kind)
}

#[test]
fn runs_everything_in_the_user_domain_on_every_processor() {
    for cpu in ["max", "qemu64", "Nehalem"] {
        let files = ["all-in-one", "echo", "heap"].map(test_blob);
        let options = KernelOptions { repeat: 3, ..options(Task::Run, "user", "") };
        let machine = Machine { files: input_files(&files, b"hello"), options, cpu: cpu.into(), ..machine() };
        let outcome = run(&machine, ExitReason::Passed);
        assert!(outcome.console.contains("  [LOG] echo: hello\n"), "{}", outcome.console);
        let report = outcome.report.unwrap();
        assert!(report.modules.iter().all(|module| module.domain == "user"));
        assert_eq!(report.environment.domains.len(), 2);
    }
}

#[test]
fn picks_the_code_for_the_processor_and_returns_the_same() {
    for (cpu, level) in [("qemu64", 1), ("Nehalem", 2), ("max", 3)] {
        for domain in ["kernel", "user"] {
            let options = KernelOptions { repeat: 30, ..options(Task::Run, domain, "") };
            let files = input_files(&[test_blob("vectors")], b"");
            let machine = Machine { files, options, cpu: cpu.into(), ..machine() };
            let outcome = run(&machine, ExitReason::Passed);
            let report = outcome.report.unwrap();
            let levels = report.modules.iter().map(|module| (module.name.as_str(), module.cpu_level));
            // `compute` has no variant for the second level, unlike `vectors`.
            let compute = if level < 3 { 1 } else { level };
            let expected = [("fibonacci", 1), ("sum", 1), ("compute", compute), ("primes", 1), ("vectors", level)];
            assert_eq!(levels.collect::<Vec<_>>(), expected, "{cpu} {domain}");
            assert_eq!(report.modules[2].last_result, Some(4_488_500));
            assert!(outcome.console.contains(&format!(" code for x86-64-v{level}")), "{}", outcome.console);
        }
    }
}

#[test]
fn a_circle_among_files_is_shown_and_the_rest_runs() {
    let folder = tempfile::tempdir().unwrap();
    let any = |name| [(name, (0, 0, 0), None)];
    let blob = |name: &str, on: &'static str| {
        let bytes = depending(&renamed("relay", name, (1, 0, 0)), &any(on));
        file(folder.path(), &format!("{name}.mod"), &bytes)
    };
    let files = [blob("a", "b"), blob("b", "c"), blob("c", "a"), blob("d", "a"), test_blob("echo")];
    let outcome = run(&Machine { files: input_files(&files, b"x"), ..machine() }, ExitReason::Failed);
    let report = outcome.report.unwrap();
    let errors: Vec<_> = report.refused.iter().map(|refusal| refusal.error.as_str()).collect();
    assert!(errors[0].ends_with("(a -> b -> c -> a)") && errors[2].ends_with("(c -> a -> b -> c)"), "{errors:?}");
    assert!(errors[3].starts_with("missing dependency: no version >=0.0.0 of a is loaded"), "{errors:?}");
    assert_eq!((errors.len(), report.tests.len()), (4, 5));
}

#[test]
fn keeps_modules_to_their_budgets() {
    for domain in ["kernel", "user"] {
        let cases = [
            ("faults", "loop_forever", "time=20ms", "time_budget"),
            ("heap", "exhaust", "heap=64K", "heap_budget"),
            ("faults", "recursion", "stack=16K", "stack_overflow"),
        ];
        for (module, input, budget, expected) in cases {
            let machine = Machine {
                files: input_files(&[test_blob(module)], input.as_bytes()),
                options: options(Task::Run, domain, budget),
                ..machine()
            };
            let outcome = run(&machine, ExitReason::Failed);
            assert_eq!(kind(&outcome, 4), Some(expected), "{domain}\n{}", outcome.console);
        }
    }
}

#[test]
fn restarts_a_module_that_faulted() {
    for domain in ["kernel", "user"] {
        let mut options = KernelOptions { repeat: 5, ..options(Task::Run, domain, "") };
        options.load.on_fault = FaultPolicy::RestartTimes(2);
        let machine = Machine { files: input_files(&[test_blob("panics")], b""), options, ..machine() };
        let outcome = run(&machine, ExitReason::Failed);
        let module = outcome.report.unwrap().modules.swap_remove(4);
        let counts = (module.faults, module.restarts, module.call_count, module.generation);
        assert_eq!((counts, &*module.state), ((3, 2, 3, 1), "faulted"), "{domain}\n{}", outcome.console);
    }
}

#[test]
fn breaks_loops_without_interrupts_by_a_non_maskable_one() {
    for (name, cpu) in [("q35", "max"), ("pc", "qemu64")] {
        for input in ["cli_loop", "cli_hlt", "popf_cli_loop"] {
            let folder = tempfile::tempdir().unwrap();
            let socket = folder.path().join("qmp");
            let machine = Machine {
                files: input_files(&[test_blob("faults")], input.as_bytes()),
                qmp: Some(socket.clone()),
                machine: name.into(),
                cpu: cpu.into(),
                ..machine()
            };
            let mut console = Vec::new();
            let mut sent = false;
            let outcome = machine.run(|text| {
                console.extend_from_slice(text);
                if !sent && String::from_utf8_lossy(&console).contains("[TEST 5] faults Module\n") {
                    sent = true;
                    std::thread::sleep(Duration::from_millis(200));
                    inject_nmi(&socket);
                }
            });
            let outcome = outcome.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(outcome.exit_reason, ExitReason::Failed, "{input}\n{}", outcome.console);
            assert_eq!(kind(&outcome, 4), Some("non_maskable"), "{input}\n{}", outcome.console);
            assert!(outcome.console.contains("=== ALL MODULE TESTS COMPLETED ==="), "{}", outcome.console);
        }
    }
}

fn inject_nmi(socket: &Path) {
    let mut stream = BufReader::new(UnixStream::connect(socket).unwrap());
    qmp(&mut stream, "{\"execute\":\"qmp_capabilities\"}");
    qmp(&mut stream, "{\"execute\":\"inject-nmi\"}");
}

#[test]
fn the_command_line_says_what_is_allowed_and_nothing_else() {
    let files = input_files(&[test_blob("echo")], b"");
    let machine = Machine { command_line: "nonsense allow=all allow=clock allow=x".to_owned(), files, ..machine() };
    let outcome = run(&machine, ExitReason::Failed);
    for word in ["nonsense", "allow=x"] {
        let warning = format!("[WARN] command line: \"{word}\", expected allow=all,");
        assert!(outcome.console.contains(&warning), "{}", outcome.console);
    }
    let report = outcome.report.unwrap();
    assert!(report.refused.len() == 1 && report.refused[0].error.contains("log"), "{:?}", report.refused);
}

/// Boots the kernel with any bytes in the place of its boot archive, and returns the console.
fn boot_with_archive(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kernel.elf"), KERNEL).unwrap();
    std::fs::write(folder.path().join("boot.tar"), bytes).unwrap();
    let mut qemu = Command::new("timeout");
    qemu.args(["60", "qemu-system-x86_64", "-cpu", "max", "-display", "none", "-no-reboot", "-serial", "stdio"]);
    qemu.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-kernel", "kernel.elf", "-initrd", "boot.tar"]);
    let output = qemu.current_dir(&folder).output().unwrap();
    // The kernel's failure, as QEMU's exit device tells it.
    assert_code(&output, 35);
    text(&output)
}

#[test]
fn rejects_an_archive_that_is_none_and_options_of_another_version() {
    let cases = [
        (b"no tar".to_vec(), "6 bytes that are no tar archive"),
        (archive([(OPTIONS, &b"other"[..])]), "options of 5 bytes with checksum 0x"),
    ];
    for (bytes, expected) in cases {
        let console = boot_with_archive(&bytes);
        assert!(console.contains(&format!("[ERROR] boot archive: {expected}")), "{console}");
    }
}

#[test]
fn gives_the_same_figures_at_every_run_under_icount() {
    let folder = tempfile::tempdir().unwrap();
    let runs = ["first", "second"].map(|name| {
        let path = folder.path().join(name);
        let output = bareflow(["boot", "--icount", "--json", path.to_str().unwrap()]);
        assert_code(&output, 0);
        (text(&output), std::fs::read_to_string(path).unwrap())
    });
    assert!(runs[0].1.contains("\"clock\": \"icount\""));
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn gives_a_kernel_up_that_does_not_end() {
    let options = KernelOptions { halt: true, ..KernelOptions::default() };
    let machine = Machine { options, timeout: Duration::from_secs(3), ..machine() };
    let outcome = run(&machine, ExitReason::GivenUp);
    let error = outcome.into_report().unwrap_err().to_string();
    assert!(error.contains("no answer in time"), "{error}");
}

/// Returns the memory of the text screen. Called after the console has shown its last line.
fn dump_screen(socket: &Path, file: &Path) -> Vec<u8> {
    let mut stream = BufReader::new(UnixStream::connect(socket).unwrap());
    qmp(&mut stream, "{\"execute\":\"qmp_capabilities\"}");
    let arguments = format!("{{\"val\":753664,\"size\":4000,\"filename\":\"{}\"}}", file.display());
    qmp(&mut stream, &format!("{{\"execute\":\"pmemsave\",\"arguments\":{arguments}}}"));
    qmp(&mut stream, "{\"execute\":\"quit\"}");
    std::fs::read(file).unwrap()
}

#[test]
fn shows_the_same_text_with_colours_on_the_vga_screen() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, file) = (folder.path().join("qmp"), folder.path().join("screen"));
    let options = KernelOptions { halt: true, ..KernelOptions::default() };
    let machine = Machine { options, screen: true, qmp: Some(socket.clone()), ..machine() };
    let mut console = Vec::new();
    let mut screen = Vec::new();
    let outcome = machine
        .run(|text| {
            console.extend_from_slice(text);
            if screen.is_empty() && console.ends_with(b"COMPLETED ===\n") {
                screen = dump_screen(&socket, &file);
            }
        })
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.exit_reason, ExitReason::Exited(Some(0)));
    let rows: Vec<_> = screen.chunks(160).collect();
    let text_of =
        |row: &[u8]| row.chunks(2).map(|place| char::from(place[0])).collect::<String>().trim_end().to_owned();
    let shown: Vec<_> = rows.iter().map(|row| text_of(row)).collect();
    // 24 lines, and the one with the cursor. Lines longer than the screen's would have been wrapped.
    let lines: Vec<_> = outcome.console.lines().collect();
    assert!(lines[lines.len() - 24..].iter().all(|line| line.len() <= 80));
    assert_eq!(shown[..24], lines[lines.len() - 24..], "\n{}", outcome.console);
    let colour_of = |text: &str| {
        let row = shown.iter().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}\n{shown:#?}"));
        rows[row][2 * shown[row].find(text).unwrap() + 1]
    };
    assert_eq!(colour_of("=== ALL MODULE TESTS COMPLETED ==="), 0x0b, "titles are cyan");
    assert_eq!(colour_of("=== Module Stats: primes"), 0x0e, "headings are yellow");
    assert_eq!(colour_of("####"), 0x0a, "bars are green");
    assert_eq!(colour_of("  Code address"), 0x07, "the rest is grey");
}
