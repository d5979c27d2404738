//! The examples of embedding the loader into a kernel or a process.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use bareflow::qemu::{ExitReason, Machine};
use bareflow_builder::build_module;
use bareflow_builder::discover::{discover, module_at};
use bareflow_builder::kernel::{Binary, build_binary};
use bareflow_builder::toolchain::KernelToolchain;
use common::{blob, root};

/// Boots an example kernel, and returns its console.
fn boot(binary: &Binary) -> String {
    let workspace = discover(&root().join("Cargo.toml")).unwrap();
    let toolchain = KernelToolchain::choose().unwrap_or_else(|error| panic!("{error}"));
    let elf =
        build_binary(&workspace, &toolchain, binary, blob("sum").parent()).unwrap_or_else(|error| panic!("{error}"));
    let outcome = Machine::new(&std::fs::read(elf).unwrap()).run(|_| ()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.exit_reason, ExitReason::Passed, "\n{}\n{}", outcome.console, outcome.complaints);
    outcome.console
}

/// The number of lines of an example's file.
fn lines(file: &str) -> usize {
    std::fs::read_to_string(root().join("examples").join(file)).unwrap().lines().count()
}

/// Packs the example of a module that uses an interface of its embedder, beside `sum`. Returns the blob's path.
fn thermostat() -> PathBuf {
    let manifest = root().join("examples/thermostat/Cargo.toml");
    let module = module_at(&manifest).unwrap_or_else(|error| panic!("{error}"));
    let sum = blob("sum");
    build_module(&module, sum.parent().unwrap()).unwrap_or_else(|error| panic!("{error}"));
    sum.with_file_name("thermostat.mod")
}

/// Runs the example of a process with a module. Returns its output.
fn run_in_a_process(blob: &Path) -> String {
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--locked", "-p", "embed-host", "--"]).arg(blob).current_dir(root());
    let output = command.output().unwrap();
    common::assert_code(&output, 0);
    common::text(&output)
}

#[test]
fn a_kernel_of_ones_own_runs_a_module() {
    let console = boot(&Binary::EMBEDDING);
    assert_eq!(console.lines().next(), Some("sum: 5050, primes: 168"), "{console}");
}

#[test]
fn a_kernel_of_ones_own_contains_faults_and_panics_of_providers() {
    thermostat();
    let console = boot(&Binary::CONTAINED);
    let kinds = [
        "returned 5050",
        "invalid_opcode",
        "divide",
        "breakpoint",
        "page_read",
        "page_write",
        "page_execute",
        "stack_overflow",
        "general_protection",
        "general_protection",
        "time_budget",
    ];
    let last = [("kernel", "clobbered_register"), ("user", "returned 0")];
    let tried =
        last.into_iter().flat_map(|(domain, last)| kinds.into_iter().chain([last]).map(move |kind| (domain, kind)));
    let expected = tried.map(|(domain, kind)| format!("{domain}: {kind}: contained"));
    let results = [
        "provider board: the sensor cpu does not answer",
        "thermostat: 100 without sensors, 24 in ring 0, 24 in ring 3",
        "sum: 5050, primes: 168",
    ]
    .map(str::to_owned);
    let expected: Vec<_> = expected.chain(results).collect();
    assert_eq!(console.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_embedding_takes_20_lines_containment_50_more_and_a_service_15_more() {
    let (embedding, containment) = (lines("embed-kernel/src/embedding.rs"), lines("contained-kernel/src/embedding.rs"));
    assert!(embedding <= 20 && containment <= embedding + 50 + 15, "{embedding} and {containment} lines");
    let process = lines("embed-host/src/main.rs");
    assert!(process <= 25 + 15, "{process} lines");
}

#[test]
fn a_process_of_ones_own_runs_a_module() {
    let text = run_in_a_process(&blob("sum"));
    assert!(text.contains("sum.mod: 5050 in "), "{text}");
}

#[test]
fn a_process_of_ones_own_provides_an_interface() {
    let text = run_in_a_process(&thermostat());
    assert!(text.contains("thermostat.mod: 24 in "), "{text}");
}
