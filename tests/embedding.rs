//! The examples of embedding the loader into a kernel or a process.

mod common;

use std::process::Command;

use bareflow::qemu::{ExitReason, Machine};
use bareflow_builder::discover::discover;
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

/// The number of lines of an example's embedding.
fn lines(example: &str) -> usize {
    std::fs::read_to_string(root().join(format!("examples/{example}/src/embedding.rs"))).unwrap().lines().count()
}

#[test]
fn a_kernel_of_ones_own_runs_a_module() {
    let console = boot(&Binary::EMBEDDING);
    assert_eq!(console.lines().next(), Some("sum: 5050, primes: 168"), "{console}");
}

#[test]
fn a_kernel_of_ones_own_contains_faults() {
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
    let expected: Vec<_> = expected.chain(["sum: 5050, primes: 168".to_owned()]).collect();
    assert_eq!(console.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_embedding_takes_20_lines_and_containment_80_more() {
    let (embedding, containment) = (lines("embed-kernel"), lines("contained-kernel"));
    assert!(embedding <= 20 && containment <= embedding + 80, "{embedding} and {containment} lines");
}

#[test]
fn a_process_of_ones_own_runs_a_module() {
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--locked", "-p", "embed-host", "--"]).arg(blob("sum")).current_dir(root());
    let output = command.output().unwrap();
    let text = common::text(&output);
    common::assert_code(&output, 0);
    assert!(text.contains("sum.mod: 5050 in "), "{text}");
}
