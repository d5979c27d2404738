//! Costs in the kernel, in instructions.
//!
//! With `--icount` a tick is one instruction, and every run of the same kernel counts the same, so a slowdown fails
//! here. Compilers differ a little, hence the margin.

mod common;

use bareflow::embedded::KERNEL;
use bareflow::input_files::InputFiles;
use bareflow::qemu::{ExitReason, Machine};
use bareflow_abi::events::{Event, Kind};
use bareflow_loader::Domain;
use bareflow_protocol::Report;
use bareflow_protocol::options::{Rig, Task};
use common::mutate::declaring;
use common::test_blob;

/// The margin for other compilers, in percent.
const MARGIN: u64 = 5;

/// A figure: its name, the recorded count, and its value in a report.
type Figure = (&'static str, u64, fn(&Report) -> Option<u64>);

/// The figures of a run on q35. An improvement should be recorded here.
const Q35: [Figure; 4] = [
    ("an empty call in the kernel domain", 34, |report| empty_call(report, "kernel")),
    ("an empty call in the user domain", 62, |report| empty_call(report, "user")),
    ("load, call and unload of sum", 1_672, |report| report.environment.load_cycles),
    ("from the kernel's entry to the first call", 1_091_088, |report| report.environment.first_call_cycles),
];

/// The figures of a run on microvm, which has no clock to calibrate the timer by: on q35, this takes most of the time.
const MICROVM: [Figure; 1] =
    [("from the kernel's entry to the first call", 334_491, |report| report.environment.first_call_cycles)];

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

/// Events: the line of the rig that measures them, and the recorded count in each domain, the kernel's first.
const EVENTS: [(&str, [u64; 2]); 3] =
    [("timer event", [1_307, 1_357]), ("nothing due", [161, 161]), ("task poll", [1_184, 1_292])];

#[test]
fn no_event_grows() {
    let timer = Event { kind: Kind::Timer, at_start: false, function: 0, period_us: 1000, name: "tick", source: "" };
    let blobs = [
        ("net".to_owned(), declaring(&std::fs::read(test_blob("net")).unwrap(), &[timer])),
        ("least-task".to_owned(), std::fs::read(test_blob("least-task")).unwrap()),
    ];
    let mut slower = Vec::new();
    for (number, domain) in Domain::ALL.into_iter().enumerate() {
        let files = InputFiles { blobs: blobs.to_vec(), ..InputFiles::default() };
        let mut machine = Machine { icount: true, files, ..Machine::new(KERNEL) };
        machine.options.task = Task::Rig(Rig::Events);
        machine.options.load.domain = domain;
        let outcome = machine.run(|_| ()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(outcome.exit_reason, ExitReason::Passed, "\n{}", outcome.console);
        for (name, counted) in EVENTS {
            let found = outcome.console.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
            let measured = found.unwrap_or_else(|| panic!("no {name}\n{}", outcome.console));
            let bound = counted[number] + counted[number] * MARGIN / 100;
            println!("{name} in the {} domain: {measured} instructions, at most {bound}", domain.name());
            if measured > bound {
                slower.push(format!("{name} in the {} domain: {measured}, expected {bound}", domain.name()));
            }
        }
    }
    assert!(slower.is_empty(), "{}", slower.join("\n"));
}

/// The calls by an interface: the line of the module that measures them, the recorded count in each domain, the kernel's
/// first, and the counts that were aimed at.
const INTERFACES: [(&str, [u64; 2], [u64; 2]); 6] = [
    ("kernel add", [360, 394], [40, 100]),
    ("kernel one slice", [443, 481], [50, 110]),
    ("kernel two slices", [522, 564], [60, 120]),
    ("module add", [618, 699], [70, 220]),
    ("module one slice", [763, 897], [80, 230]),
    ("module two slices", [856, 1088], [90, 240]),
];

#[test]
fn no_call_by_an_interface_grows() {
    let mut slower = Vec::new();
    for (number, domain) in Domain::ALL.into_iter().enumerate() {
        let blobs = ["meter", "meter-user"].map(|name| (name.to_owned(), std::fs::read(test_blob(name)).unwrap()));
        let files = InputFiles { blobs: blobs.into(), ..InputFiles::default() };
        let mut machine = Machine { icount: true, files, ..Machine::new(KERNEL) };
        machine.options.task = Task::Rig(Rig::Meter);
        machine.options.load.domain = domain;
        let outcome = machine.run(|_| ()).unwrap_or_else(|error| panic!("{error}"));
        println!("from the {} domain, without the clock's own instructions:", domain.name());
        let lines: Vec<_> = outcome.console.lines().filter(|line| line.contains(" bytes in ")).collect();
        lines.iter().for_each(|line| println!("{line}"));
        for (name, counted, aim) in INTERFACES {
            let found = outcome.console.split_once(&format!("{name} ")).map(|(_, rest)| rest);
            let found = found.and_then(|rest| rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok());
            let measured: u64 = found.unwrap_or_else(|| panic!("no {name}\n{}", outcome.console));
            let bound = counted[number] + counted[number] * MARGIN / 100;
            println!("  {name}: {measured} instructions, at most {bound}; aimed at {}", aim[number]);
            if measured > bound {
                slower.push(format!("{name} in the {} domain: {measured}, expected {bound}", domain.name()));
            }
        }
    }
    println!("L4Re's figure for a call of another process, one way: 587 instructions");
    assert!(slower.is_empty(), "{}", slower.join("\n"));
}

/// The figures of rings between two modules in ring 3: the line of the module that measures them, and the recorded count.
const RINGS: [(&str, u64); 6] = [
    ("ring element", 44),
    ("buffer lent", 354),
    ("buffer written and lent", 952),
    ("buffer copied", 1_131),
    ("region opened and closed", 1_119),
    ("region lent and taken back", 1_550),
];

#[test]
fn no_ring_between_modules_grows() {
    let blobs = ["ring", "ring-user"].map(|name| (name.to_owned(), std::fs::read(test_blob(name)).unwrap()));
    let files = InputFiles { blobs: blobs.into(), ..InputFiles::default() };
    let mut machine = Machine { icount: true, files, ..Machine::new(KERNEL) };
    machine.options.load.domain = Domain::User;
    let console = machine.run(|_| ()).unwrap_or_else(|error| panic!("{error}")).console;
    let mut slower = Vec::new();
    for (name, counted) in RINGS {
        let found = console.split_once(&format!("{name} ")).map(|(_, rest)| rest);
        let found = found.and_then(|rest| rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok());
        let measured: u64 = found.unwrap_or_else(|| panic!("no {name}\n{console}"));
        let bound = counted + counted * MARGIN / 100;
        println!("{name}: {measured} instructions, at most {bound}");
        if measured > bound {
            slower.push(format!("{name}: {measured}, expected {bound}"));
        }
    }
    assert!(slower.is_empty(), "{}", slower.join("\n"));
}
