//! A kernel that keeps running: from a saved file to the running module, the switch itself, and the transfer of a large
//! blob.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bareflow::client::upload;
use bareflow_builder::discover::module_at;
use bareflow_builder::{ModuleCrate, Workspace, build_module};
use bareflow_protocol::control::LoadOverrides;

use crate::served::{Served, load, push};
use crate::{table, verdict};

/// The bound from save to running, in seconds.
const BOUND: f64 = 1.0;

/// The bound for the switch, in instructions.
const SWITCH: f64 = 2000.0;

/// The number of changes that are timed.
const CHANGES: usize = 5;

/// The size of the large blob's constants, in bytes.
const LARGE: usize = 1 << 20;

/// Prints the tables.
pub fn show(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let module = own_workspace(workspace, folder.path())?;
    save_to_running(&module)?;
    switch(&module)?;
    large(&module)
}

/// Measures the parts of the time that a change of one line takes.
fn save_to_running(module: &ModuleCrate) -> Result<(), Box<dyn Error>> {
    let served = Served::start(false)?;
    let mut client = served.client()?;
    let source = module.manifest.with_file_name("src/lib.rs");
    let text = fs::read_to_string(&source)?;
    // The first build is not a change.
    push(&mut client, &build_module(module, &module.target.join("modules"))?.bytes, LoadOverrides::default())?;
    let mut rounds = Vec::new();
    for round in 0..CHANGES {
        let start = Instant::now();
        fs::write(&source, format!("{text}/// A change.\npub const ROUND: usize = {round};\n"))?;
        let blob = build_module(module, &module.target.join("modules"))?;
        let built = start.elapsed();
        upload(&mut client, &blob.bytes, &mut |_, _| ())?;
        let sent = start.elapsed();
        load(&mut client, LoadOverrides::default())?;
        let all = start.elapsed();
        rounds.push((all, blob.compile_time, blob.pack_time, sent - built, all - sent));
    }
    served.end(client)?;
    rounds.sort();
    let (all, compile, pack, transfer, kernel) = rounds[CHANGES / 2];
    let mut rows = table(&["save to running", "ms", "at most", ""]);
    let milliseconds = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1000.0);
    let all_seconds = all.as_secs_f64();
    rows.add_row(["all".into(), milliseconds(all), format!("{}", BOUND * 1000.0), verdict(all_seconds, BOUND)]);
    let parts = [
        ("compile", compile),
        ("link and pack", pack),
        ("transfer", transfer),
        ("kernel: validate, place, switch", kernel),
    ];
    for (part, time) in parts {
        rows.add_row([part.to_owned(), milliseconds(time), String::new(), String::new()]);
    }
    println!("## A changed line of a small module, from saved to running, median of {CHANGES}\n\n{rows}\n");
    Ok(())
}

/// Counts the instructions of a reload's steps.
fn switch(module: &ModuleCrate) -> Result<(), Box<dyn Error>> {
    let served = Served::start(true)?;
    let mut client = served.client()?;
    let blob = build_module(module, &module.target.join("modules"))?;
    push(&mut client, &blob.bytes, LoadOverrides::default())?;
    let cycles = push(&mut client, &blob.bytes, LoadOverrides::default())?.cycles;
    served.end(client)?;
    let mut rows = table(&["reload of a small module", "instructions", "at most", ""]);
    rows.add_row(["validate, place, initialise".to_owned(), cycles.prepare.to_string(), String::new(), String::new()]);
    let found = verdict(cycles.switch as f64, SWITCH);
    rows.add_row(["the switch".to_owned(), cycles.switch.to_string(), SWITCH.to_string(), found]);
    println!("## Reload in the kernel, by `--icount`\n\n{rows}\n");
    Ok(())
}

/// Measures the transfer of a large blob over the emulated channel.
fn large(module: &ModuleCrate) -> Result<(), Box<dyn Error>> {
    let source = module.manifest.with_file_name("src/lib.rs");
    let text = "#![no_std]\n#![forbid(unsafe_code)]\n//! Large.\nbareflow_abi::module!(large);\n\
                static TABLE: [u8; LARGE] = { let mut table = [1; LARGE]; table[7] = 2; table };\n\
                /// Looks one up.\npub fn large(context: &mut bareflow_abi::Context<'_>) -> i32 {\n\
                TABLE[context.input().len() * 4097 % LARGE].into()\n}\n";
    fs::write(&source, text.replace("LARGE]", &format!("{LARGE}]")).replace("% LARGE", &format!("% {LARGE}")))?;
    let blob = build_module(module, &module.target.join("modules"))?.bytes;
    let served = Served::start(false)?;
    let mut client = served.client()?;
    let start = Instant::now();
    upload(&mut client, &blob, &mut |_, _| ())?;
    let sent = start.elapsed();
    load(&mut client, LoadOverrides::default())?;
    let all = start.elapsed();
    served.end(client)?;
    let mut rows = table(&["push of a large blob", "bytes", "s", "MB/s"]);
    let mut add = |name: &str, time: Duration| {
        let seconds = time.as_secs_f64();
        let speed = format!("{:.2}", blob.len() as f64 / seconds / 1e6);
        rows.add_row([name.to_owned(), blob.len().to_string(), format!("{seconds:.3}"), speed]);
    };
    add("transfer", sent);
    add("validate, place, switch", all - sent);
    println!("## A large blob, over COM2 of the emulator\n\n{rows}\n");
    Ok(())
}

/// Makes a workspace with one small module, so that this one is not changed.
fn own_workspace(workspace: &Workspace, folder: &Path) -> Result<ModuleCrate, Box<dyn Error>> {
    let abi = workspace.root.join("abi");
    let manifest = fs::read_to_string(workspace.root.join("Cargo.toml"))?;
    let table = |name: &str| {
        let lines = manifest.lines().skip_while(|line| *line != name);
        lines.take_while(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect::<String>()
    };
    let settings = ["[workspace.package]", "[workspace.lints.rust]", "[workspace.lints.clippy]"].map(table).concat();
    let dependency = format!("[workspace.dependencies]\nbareflow-abi = {{ path = {abi:?} }}\n");
    let all = format!("[workspace]\nresolver = \"3\"\nmembers = [\"modules/*\"]\n{settings}{dependency}");
    fs::write(folder.join("Cargo.toml"), all)?;
    fs::copy(workspace.root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    fs::create_dir_all(folder.join("modules"))?;
    let program = workspace.target.join("release/bareflow");
    let made = Command::new(program).args(["new", "answer"]).current_dir(folder).output()?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into());
    }
    Ok(module_at(&folder.join("modules/answer/Cargo.toml"))?)
}
