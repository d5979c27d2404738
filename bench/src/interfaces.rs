//! Calls by an interface: of the kernel and of another module, from each domain, in instructions and in ticks.

use std::collections::BTreeMap;
use std::error::Error;

use bareflow::embedded::KERNEL;
use bareflow::input_files::InputFiles;
use bareflow::qemu::Machine;
use bareflow_builder::discover::module_at;
use bareflow_builder::{Workspace, build_module};
use bareflow_host::HostPlatform;
use bareflow_loader::{Domain, LoadOptions, ModuleManager, Timing};
use bareflow_protocol::options::{Rig, Task};
use meter_interface::{Meter, Plain};

use crate::{OUR_OWN, table, verdict};

/// The calls that are bounded, and the bounds in instructions from each domain.
const BOUNDS: [(&str, [f64; 2]); 6] = [
    ("kernel add", [40.0, 100.0]),
    ("kernel one slice", [50.0, 110.0]),
    ("kernel two slices", [60.0, 120.0]),
    ("module add", [70.0, 220.0]),
    ("module one slice", [80.0, 230.0]),
    ("module two slices", [90.0, 240.0]),
];

/// The sizes of slices, in bytes.
const SIZES: [usize; 3] = [64, 4096, 65_536];

/// The instructions of a call of another process, one way, as L4Re's authors published them.
const L4RE_ONE_WAY: u64 = 587;

/// The figures of one run, by the names that the measuring module gives them.
pub type Figures = BTreeMap<String, u64>;

/// Names and blobs.
pub type Blobs = Vec<(String, Vec<u8>)>;

/// Prints the tables.
pub fn show(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let blobs = build(workspace, ["meter", "meter-user"])?;
    let mut calls = table(&["call", "from", "instructions", "at most", "", "ticks as a process"]);
    let mut sizes = table(&["bytes", "of", "from", "in", "out", "a copy", "ticks in", "out", "a copy"]);
    for (number, domain) in Domain::ALL.into_iter().enumerate() {
        let (counts, ticks) = (in_kernel(&blobs, domain)?, as_process(&blobs, domain)?);
        let of = |figures: &Figures, name: &str| figures.get(name).copied().ok_or(format!("{name}: no figure"));
        for (name, bounds) in BOUNDS {
            let (count, bound) = (of(&counts, name)?, bounds[number]);
            let verdict = verdict(count as f64, bound);
            let ticks = of(&ticks, name)?.to_string();
            calls.add_row([name, domain.name(), &count.to_string(), &bound.to_string(), &verdict, &ticks]);
        }
        for (provider, size) in ["kernel", "module"].into_iter().flat_map(|of| SIZES.map(|size| (of, size))) {
            let mut row = vec![size.to_string(), provider.to_owned(), domain.name().to_owned()];
            for figures in [&counts, &ticks] {
                for part in ["in", "out", "a copy"] {
                    row.push(of(figures, &format!("{provider} {size} {part}"))?.to_string());
                }
            }
            sizes.add_row(row);
        }
    }
    println!("## Calls by an interface, from before the caller's method to behind it\n\n{calls}\n");
    println!("Instructions in the kernel, by `--icount`. A call of another process on L4Re: {L4RE_ONE_WAY} one way.\n");
    println!("## The same with bytes that the provider reads, or appends\n\n{sizes}\n");
    Ok(())
}

/// Packs test modules.
pub fn build(workspace: &Workspace, names: [&str; 2]) -> Result<Blobs, Box<dyn Error>> {
    let mut blobs = Vec::new();
    for name in names {
        let manifest = workspace.root.join(format!("tests/modules/{name}/Cargo.toml"));
        let module = module_at(&manifest)?;
        blobs.push((name.to_owned(), build_module(&module, &workspace.target.join("test-modules"))?.bytes));
    }
    Ok(blobs)
}

/// Returns the instructions in the kernel.
pub fn in_kernel(blobs: &[(String, Vec<u8>)], domain: Domain) -> Result<Figures, Box<dyn Error>> {
    let files = InputFiles { blobs: blobs.to_vec(), ..InputFiles::default() };
    let mut machine = Machine { icount: true, files, ..Machine::new(KERNEL) };
    machine.options.task = Task::Rig(Rig::Meter);
    machine.options.load.domain = domain;
    let console = machine.run(|_| ())?.console;
    // The console shows the output as one text.
    Ok(figures(&console.replace("\\n", "\n")))
}

/// Returns the ticks in this process, or between it and child processes.
pub fn as_process(blobs: &[(String, Vec<u8>)], domain: Domain) -> Result<Figures, Box<dyn Error>> {
    let platform = HostPlatform::new(Box::new(|line| println!("{line}")))?;
    let manager = ModuleManager::with_kernel_domain(platform, Timing::Precise, OUR_OWN);
    manager.provide::<dyn Meter, _>("kernel", Plain)?;
    let options = LoadOptions { domain, ..LoadOptions::default() };
    let mut last = None;
    for (_, blob) in blobs {
        last = Some(manager.load_with(blob, &options)?);
    }
    let mut output = vec![0; 4096];
    let done = manager.execute_with(last.ok_or("no module to measure with")?, &[], &mut output)?;
    Ok(figures(&String::from_utf8_lossy(&output[..done.output_length])))
}

/// Reads the lines of the measuring module: `kernel add 34`, `kernel 64 bytes in 50, out 60, a copy 70`.
fn figures(text: &str) -> Figures {
    let mut found = Figures::new();
    for line in text.lines() {
        let line = line.trim_start().trim_start_matches("Output: ");
        if let Some((of, parts)) = line.split_once(" bytes ") {
            for (name, figure) in parts.split(", ").filter_map(|part| part.rsplit_once(' ')) {
                found.extend(figure.parse().map(|figure| (format!("{of} {name}"), figure)));
            }
        } else if let Some((name, figure)) = line.rsplit_once(' ') {
            found.extend(figure.parse().map(|figure| (name.to_owned(), figure)));
        }
    }
    found
}
