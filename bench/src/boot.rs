//! Whole boots: the time of one, the time of the first call of a module, and whether runs repeat exactly.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use bareflow::embedded::KERNEL;
use bareflow::qemu::{ExitReason, Machine};
use bareflow_builder::Workspace;

use crate::empty_kernel::empty_kernel;
use crate::{size, table, verdict};

/// The number of boots that are timed on each machine.
const BOOTS: usize = 21;

/// The machines, and the bound for a boot on each, in seconds.
const MACHINES: [(&str, Option<f64>); 3] = [("q35", Some(0.180)), ("pc", None), ("microvm", Some(0.090))];

/// The bound for the guest's time from the kernel's entry to the first call of a module, in milliseconds.
const FIRST_CALL: f64 = 5.0;

/// The bound for a load, a call and an unload of `sum` in the kernel, in instructions.
const LOAD: u64 = 1_500;

/// Prints the tables.
pub fn show(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let program = workspace.target.join("release/bareflow");
    let titles = ["machine", "median s", "min s", "at most", "", "empty kernel, median s", "min s"];
    let mut rows = table(&titles);
    for (machine, bound) in MACHINES {
        let (mut ours, mut empty) = (Vec::new(), Vec::new());
        // By turns, so that both run under the same load.
        for _ in 0..BOOTS {
            empty.push(boot_empty(machine)?);
            ours.push(boot(&program, &["--machine", machine])?);
        }
        let [ours, empty] = [ours, empty].map(|mut times| {
            times.sort_by(f64::total_cmp);
            (times[BOOTS / 2], times[0])
        });
        rows.add_row([
            machine.to_owned(),
            format!("{:.3}", ours.0),
            format!("{:.3}", ours.1),
            bound.map_or(String::new(), |bound| format!("{bound:.3}")),
            bound.map_or(String::new(), |bound| verdict(ours.0, bound)),
            format!("{:.3}", empty.0),
            format!("{:.3}", empty.1),
        ]);
    }
    println!("## Wall time of a whole `bareflow boot` of a built tree\n\n{rows}\n");
    println!("The empty kernel leaves the machine with its first instructions; it boots as ours does.\n");
    show_first_call()?;
    show_icount(&program)?;
    size::show(workspace)
}

/// Returns the time of one boot, in seconds.
fn boot(program: &Path, arguments: &[&str]) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    let output = Command::new(program).arg("boot").args(arguments).output()?;
    let seconds = start.elapsed().as_secs_f64();
    if output.status.success() {
        return Ok(seconds);
    }
    Err(format!("boot failed: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// Returns the time of a boot of the empty kernel, in seconds.
fn boot_empty(machine: &str) -> Result<f64, Box<dyn Error>> {
    let machine = Machine { machine: machine.to_owned(), ..Machine::new(&empty_kernel()) };
    let start = Instant::now();
    let outcome = machine.run(|_| ())?;
    let seconds = start.elapsed().as_secs_f64();
    if outcome.exit_reason == ExitReason::Passed {
        return Ok(seconds);
    }
    Err(format!("the empty kernel: {:?} {}", outcome.exit_reason, outcome.complaints).into())
}

/// Prints the time of the first call of a module.
fn show_first_call() -> Result<(), Box<dyn Error>> {
    let (mut rows, mut load) = (table(&["machine", "instructions", "ms", "at most", ""]), None);
    for (name, _) in MACHINES {
        let machine = Machine { icount: true, ..Machine::new(KERNEL) };
        let report = Machine { machine: name.to_owned(), ..machine }.run(|_| ())?.into_report()?;
        let ticks =
            report.environment.first_call_cycles.ok_or("the kernel does not say when it made its first call")?;
        load = load.or(report.environment.load_cycles);
        let milliseconds = ticks as f64 / 1e6;
        rows.add_row([
            name.to_owned(),
            ticks.to_string(),
            format!("{milliseconds:.2}"),
            FIRST_CALL.to_string(),
            verdict(milliseconds, FIRST_CALL),
        ]);
    }
    println!("## From the kernel's entry to the first call of a module, by `--icount`\n\n{rows}\n");
    println!("An instruction is a nanosecond of the guest's time.\n");
    let load = load.ok_or("the kernel does not say what a load takes")?;
    println!(
        "A load, a call and an unload of `sum` in the kernel: {load} instructions, at most {LOAD}: {}.\n",
        verdict(load as f64, LOAD as f64)
    );
    Ok(())
}

fn show_icount(program: &Path) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut reports = Vec::new();
    for name in ["first", "second"] {
        let path = folder.path().join(name);
        boot(program, &["--icount", "--json", &path.to_string_lossy()])?;
        reports.push(fs::read(path)?);
    }
    let same = if reports[0] == reports[1] { "the same to the byte" } else { "different" };
    println!("Two runs of `boot --icount --json`: {same}.\n");
    Ok(())
}
