//! A whole boot: how long it takes, whether it repeats, how large the loader is.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use bareflow_builder::Workspace;
use bareflow_builder::toolchain::KernelToolchain;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

use crate::{table, verdict};

/// Boots that are timed on each machine.
const BOOTS: usize = 15;

/// Seconds a boot may take.
const BOUND: f64 = 0.4;

/// Shows the tables.
pub fn show(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let program = workspace.target.join("release/bareflow");
    let mut rows = table(&["machine", "median s", "min s", "at most", ""]);
    for machine in ["q35", "pc", "microvm"] {
        let mut times = (0..BOOTS).map(|_| boot(&program, &["--machine", machine])).collect::<Result<Vec<_>, _>>()?;
        times.sort_by(f64::total_cmp);
        let median = times[BOOTS / 2];
        rows.add_row([
            machine.to_owned(),
            format!("{median:.3}"),
            format!("{:.3}", times[0]),
            BOUND.to_string(),
            verdict(median, BOUND),
        ]);
    }
    println!("## Wall time of a whole `bareflow boot` of a built tree\n\n{rows}\n");
    show_icount(&program)?;
    show_size(workspace)
}

/// Seconds that one boot takes.
fn boot(program: &Path, arguments: &[&str]) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    let output = Command::new(program).arg("boot").args(arguments).output()?;
    let seconds = start.elapsed().as_secs_f64();
    if output.status.success() {
        return Ok(seconds);
    }
    Err(format!("boot failed: {}", String::from_utf8_lossy(&output.stderr)).into())
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

/// Shows how much of the kernel's text is the loader's, by symbol.
fn show_size(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let toolchain = KernelToolchain::choose()?;
    let path = workspace.target.join(format!("kernel-build-{}", toolchain.name()));
    let bytes = fs::read(path.join("x86_64-unknown-none/kernel/bareflow-kernel"))?;
    let file = object::File::parse(&*bytes)?;
    let text: u64 =
        file.sections().filter(|section| section.kind() == SectionKind::Text).map(|section| section.size()).sum();
    let mut loader = 0;
    for symbol in file.symbols() {
        let name = rustc_demangle::demangle(symbol.name()?).to_string();
        if name.contains("bareflow_loader") {
            loader += symbol.size();
        }
    }
    println!("Kernel text: {text} bytes; functions of the loader and what is inlined into them: {loader} bytes.");
    Ok(())
}
