//! The examples of embedding the loader into a kernel or a process.

mod common;

use std::process::Command;

use bareflow::qemu::{ExitReason, Machine};
use bareflow_builder::discover::discover;
use bareflow_builder::kernel::{Binary, build_binary};
use bareflow_builder::toolchain::KernelToolchain;
use common::{blob, root};

#[test]
fn a_kernel_of_ones_own_runs_a_module() {
    let workspace = discover(&root().join("Cargo.toml")).unwrap();
    let toolchain = KernelToolchain::choose().unwrap_or_else(|error| panic!("{error}"));
    let elf = build_binary(&workspace, &toolchain, &Binary::EMBEDDING, blob("sum").parent())
        .unwrap_or_else(|error| panic!("{error}"));
    let outcome = Machine::new(&std::fs::read(elf).unwrap()).run(|_| ()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.exit_reason, ExitReason::Passed, "\n{}\n{}", outcome.console, outcome.complaints);
    assert_eq!(outcome.console.lines().next(), Some("sum: 5050, primes: 168"), "{}", outcome.console);
}

#[test]
fn the_embedding_takes_20_lines() {
    let text = std::fs::read_to_string(root().join("examples/embed-kernel/src/embedding.rs")).unwrap();
    assert!(text.lines().count() <= 20, "{} lines", text.lines().count());
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
