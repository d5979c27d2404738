//! The cost of safety: an empty call in each domain, in instructions and in ticks.

use std::error::Error;

use bareflow::embedded::KERNEL;
use bareflow::qemu::Machine;
use bareflow_builder::discover::module_at;
use bareflow_builder::kernel::{Binary, build_binary};
use bareflow_builder::toolchain::KernelToolchain;
use bareflow_builder::{Workspace, build_module};
use bareflow_host::HostPlatform;
use bareflow_loader::{Domain, ModuleManager, Timing};

use crate::OUR_OWN;
use crate::{table, verdict};

/// The bounds in instructions: for the kernel domain, those in addition to a bare call; for the user domain, the round
/// trip.
const BOUNDS: [f64; 2] = [36.0, 100.0];

/// Prints the table.
pub fn show(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let bare = bare_call(workspace)?;
    let kernel = Machine { icount: true, ..Machine::new(KERNEL) };
    let report = kernel.run(|_| ())?.into_report()?;
    let host = ModuleManager::with_kernel_domain(
        HostPlatform::new(Box::new(|line| println!("{line}")))?,
        Timing::Precise,
        OUR_OWN,
    );
    let mut rows = table(&["domain", "instructions", "over a bare call", "at most", "", "ticks as a process"]);
    let mut add = |name: &str, count: u64, bound: &str, verdict: String, ticks: String| {
        let over = count.saturating_sub(bare);
        rows.add_row([name.to_owned(), count.to_string(), over.to_string(), bound.to_owned(), verdict, ticks]);
    };
    add("none: called through the loader, not contained", bare, "", String::new(), String::new());
    for ((domain, bound), of) in Domain::ALL.into_iter().zip(BOUNDS).zip(["over", "in all"]) {
        let cost = report.environment.domains.iter().find(|cost| cost.domain == domain.name());
        let count = cost.ok_or("the kernel says nothing of a domain's cost")?.empty_call_cycles;
        let counted = if of == "over" { count.saturating_sub(bare) } else { count };
        let ticks = host.empty_call_cycles(domain).map_or("-".to_owned(), |ticks| ticks.to_string());
        add(domain.name(), count, &format!("{bound} {of}"), verdict(counted as f64, bound), ticks);
    }
    println!("## Price of safety: an empty call, less the clock's readings\n\n{rows}\n");
    println!("Instructions in the kernel, by `--icount`. As a process, the user domain is a child process.\n");
    Ok(())
}

/// Returns the instructions of an empty call in a kernel without containment: the least kernel.
fn bare_call(workspace: &Workspace) -> Result<u64, Box<dyn Error>> {
    let manifest = workspace.root.join("tests/modules/empty/Cargo.toml");
    let blob = build_module(&module_at(&manifest)?, &workspace.target.join("test-modules"))?;
    // With the kernel's own profile.
    let binary = Binary { profile: Binary::KERNEL.profile, ..Binary::LEAST };
    let elf = build_binary(workspace, &KernelToolchain::choose()?, &binary, Some(&blob.path))?;
    let console = Machine { icount: true, ..Machine::new(&std::fs::read(elf)?) }.run(|_| ())?.console;
    let words: Vec<_> = console.split_whitespace().collect();
    let count = words.iter().position(|word| *word == "cycles").and_then(|index| words.get(index - 1)?.parse().ok());
    Ok(count.ok_or_else(|| format!("the example said {console:?}, expected its cycles"))?)
}
