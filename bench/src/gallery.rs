//! The gallery's modules, compared with the same functions in an ordinary program (`bench/native`).

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bareflow_abi::header::FLAG_NO_RUN;
use bareflow_builder::discover::gallery;
use bareflow_builder::subprocess::{command, output};
use bareflow_builder::toolchain::cargo;
use bareflow_builder::{BuildError, Example, Workspace, build_with};
use bareflow_host::HostPlatform;
use bareflow_loader::{ModuleManager, RawModule, Timing};

use crate::OUR_OWN;
use crate::{table, verdict};

/// The bound for the ticks of a module, as a multiple of those of the function in the program.
const BOUND: f64 = 1.05;

/// The number of rounds, and of calls of each in every round.
const ROUNDS: usize = 5;
const CALLS: usize = 40;

/// The room for output, in bytes.
const OUTPUT: usize = 256 << 10;

/// Prints the table. Modules that only export functions are not in it.
pub fn show(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let program = native(workspace)?;
    let input = workspace.target.join("bench/gallery-input");
    let mut shown = table(&[
        "module",
        "input",
        "module min",
        "median",
        "native min",
        "median",
        "ratio of min",
        "bound",
        "blob",
        "fix-ups",
        "load µs",
    ]);
    for module in gallery(&workspace.root.join("Cargo.toml"))?.modules {
        // Both run code for every processor.
        let codegen = module.codegen_options()?.into_iter().take(1).collect::<Vec<_>>();
        let blob = build_with(&module, &codegen, &workspace.target.join("bench/gallery"))?.bytes;
        if RawModule::parse(&blob)?.header().flags & FLAG_NO_RUN != 0 {
            continue;
        }
        let examples = module.examples()?;
        // The first of the examples with the longest input: later ones may be refused at once.
        let example: &Example =
            examples.iter().rev().max_by_key(|example| example.input.len()).ok_or("a module without an example")?;
        std::fs::write(&input, &example.input)?;
        let manager = ModuleManager::with_kernel_domain(HostPlatform::new(Box::new(|_| ()))?, Timing::Precise, OUR_OWN);
        let start = Instant::now();
        let id = manager.load(&blob)?;
        let load = start.elapsed();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut room = vec![0; OUTPUT];
        for _ in 0..ROUNDS {
            let mut result = 0;
            for _ in 0..CALLS {
                let called = manager.execute_timed(id, &example.input, &mut room)?;
                ours.push(called.cycles.saturating_sub(manager.call_overhead_cycles()));
                result = called.outcome.result;
            }
            theirs.push(native_ticks(&program, &module.name, &input, result)?);
        }
        ours.sort_unstable();
        let (ours_min, ours_median) = (ours[0], ours[ours.len() / 2]);
        let theirs_min = theirs.iter().map(|(least, _)| *least).min().unwrap_or(1);
        theirs.sort_unstable_by_key(|(_, median)| *median);
        let ratio = ours_min as f64 / theirs_min as f64;
        shown.add_row([
            module.name.clone(),
            example.input.len().to_string(),
            ours_min.to_string(),
            ours_median.to_string(),
            theirs_min.to_string(),
            theirs[theirs.len() / 2].1.to_string(),
            format!("{ratio:.3}"),
            format!("{BOUND}: {}", verdict(ratio, BOUND)),
            blob.len().to_string(),
            RawModule::parse(&blob)?.header().fixup_count.to_string(),
            load.as_micros().to_string(),
        ]);
    }
    println!("## The gallery against the same functions in an ordinary program, ticks per call\n\n{shown}\n");
    println!(
        "Both are compiled for x86-64 (v1); the program with cargo's release profile, the C library's memory functions \
         and its allocator; modules with level 2 unless they say otherwise, and their own heap.\n"
    );
    Ok(())
}

/// Builds the program.
fn native(workspace: &Workspace) -> Result<PathBuf, Box<dyn Error>> {
    let target = workspace.target.join("native-gallery");
    let mut build = command(cargo());
    build
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(workspace.root.join("bench/native/Cargo.toml"));
    build.arg("--target-dir").arg(&target).env("RUSTFLAGS", "-Ctarget-cpu=x86-64");
    let said = output(&mut build)?;
    if !said.status.success() {
        let output = String::from_utf8_lossy(&said.stderr).into_owned();
        return Err(BuildError::Compile { krate: "native-gallery".to_owned(), output }.into());
    }
    Ok(target.join("release/native-gallery"))
}

/// Returns the least and the median number of ticks of a function in the program, which must return `expected`.
fn native_ticks(program: &Path, name: &str, input: &Path, expected: i32) -> Result<(u64, u64), Box<dyn Error>> {
    let mut run = command(program);
    run.arg(name).arg(input).arg(CALLS.to_string());
    let said = output(&mut run)?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let numbers: Vec<i64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [result, least, median] = numbers[..] else {
        return Err(format!("native-gallery said {text:?}: {}", String::from_utf8_lossy(&said.stderr)).into());
    };
    if result != i64::from(expected) {
        return Err(format!("{name} returns {expected} as a module and {result} in the program").into());
    }
    Ok((least.unsigned_abs(), median.unsigned_abs()))
}
