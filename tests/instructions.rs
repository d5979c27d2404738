//! Costs in the kernel, in instructions.
//!
//! With `--icount` a tick is one instruction, and every run of the same kernel counts the same, so a slowdown fails
//! here. Compilers differ a little, hence the margin.

use bareflow::embedded::KERNEL;
use bareflow::qemu::{ExitReason, Machine};
use bareflow_protocol::Report;

/// The margin for other compilers, in percent.
const MARGIN: u64 = 5;

/// A figure: its name, the recorded count, and its value in a report.
type Figure = (&'static str, u64, fn(&Report) -> Option<u64>);

/// The figures of a run on q35. An improvement should be recorded here.
const Q35: [Figure; 4] = [
    ("an empty call in the kernel domain", 34, |report| empty_call(report, "kernel")),
    ("an empty call in the user domain", 62, |report| empty_call(report, "user")),
    ("load, call and unload of sum", 1_487, |report| report.environment.load_cycles),
    ("from the kernel's entry to the first call", 1_123_031, |report| report.environment.first_call_cycles),
];

/// The figures of a run on microvm, which has no clock to calibrate the timer by: on q35, this takes most of the time.
const MICROVM: [Figure; 1] =
    [("from the kernel's entry to the first call", 366_175, |report| report.environment.first_call_cycles)];

fn empty_call(report: &Report, domain: &str) -> Option<u64> {
    report.environment.domains.iter().find(|cost| cost.domain == domain).map(|cost| cost.empty_call_cycles)
}

/// Prints `figures` of one run on `machine`, and checks all of them.
fn check(machine: &str, figures: &[Figure]) {
    assert!(!KERNEL.is_empty(), "this build has no kernel; run `make setup`");
    let machine = Machine { machine: machine.to_owned(), icount: true, ..Machine::new(KERNEL) };
    let outcome = machine.run(|_| ()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.exit_reason, ExitReason::Passed, "\n{}\n{}", outcome.console, outcome.complaints);
    let report = outcome.into_report().unwrap_or_else(|error| panic!("{error}"));
    let mut slower = Vec::new();
    for (name, counted, measured) in figures {
        let bound = counted + counted * MARGIN / 100;
        let measured = measured(&report).unwrap_or_else(|| panic!("{name}: the report does not say"));
        println!("{name}: {measured} instructions, at most {bound}");
        if measured > bound {
            slower.push(format!("{name}: {measured} instructions, expected {bound} at most"));
        }
    }
    assert!(slower.is_empty(), "{}", slower.join("\n"));
}

#[test]
fn no_figure_of_q35_grows() {
    check("q35", &Q35);
}

#[test]
fn no_figure_of_microvm_grows() {
    check("microvm", &MICROVM);
}
