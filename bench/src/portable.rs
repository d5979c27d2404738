//! Portable modules in a served kernel: from the push to the first result, and the engines in ring 3.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use bareflow::client::{Client, upload};
use bareflow_builder::discover::{engines, gallery, module_at};
use bareflow_builder::{ModuleCrate, Workspace, build_module};
use bareflow_protocol::control::{LoadOverrides, Push};
use bareflow_protocol::tier::Tier;
use bareflow_protocol::{Request, Response};

use crate::served::{Served, push};
use crate::{table, verdict};

/// The memory of a machine with engines, in MiB.
const MEGABYTES: u32 = 1024;

/// The bound for the first result of about 100 KB after the transfer, in milliseconds.
const FIRST: f64 = 5.0;

/// The number of pushes of which the fastest counts; one of a large module takes long enough.
const PUSHES: usize = 3;
const LARGE: usize = 1 << 20;

/// QEMU's accelerator: this kernel does not start under KVM.
const ACCEL: &str = "tcg";

/// Prints the table.
pub fn show(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let served = Served::start_with(|machine| {
        (machine.memory_megabytes, machine.accel) = (MEGABYTES, ACCEL.to_owned());
    })?;
    let mut client = served.client()?;
    for engine in engines(&workspace.root.join("Cargo.toml"))?.modules {
        let blob = build_module(&engine, &workspace.target.join("engines"))?.bytes;
        push(&mut client, &blob, LoadOverrides::default())?;
    }
    let modules = gallery(&workspace.root.join("Cargo.toml"))?.modules;
    let small = modules.iter().find(|module| module.name == "gallery-ed25519-compact").ok_or("no ed25519-compact")?;
    let large = module_at(&workspace.root.join("bench/large/Cargo.toml"))?;
    let mut rows = table(&["module", "wasm", "transfer", "tier", "load", "MB/s", "first call", "load and call"]);
    let mut first = f64::INFINITY;
    for module in [small, &large] {
        let wasm = portable(module, workspace)?;
        let example = module.examples()?.into_iter().next().ok_or("a module without an example")?;
        let input = example.input;
        for (tier, name) in [(Tier::Interpreted, "0"), (Tier::Quick, "1"), (Tier::Fast, "2")] {
            let mut fastest: Option<[f64; 3]> = None;
            for _ in 0..if wasm.len() < LARGE { PUSHES } else { 1 } {
                let times = pushed(&mut client, &wasm, &module.name, tier, &input)?;
                if fastest.is_none_or(|fastest| times[1] + times[2] < fastest[1] + fastest[2]) {
                    fastest = Some(times);
                }
            }
            let [transfer, load, call] = fastest.ok_or("no push")?;
            if module.name == small.name && tier == Tier::Interpreted {
                first = load + call;
            }
            let milliseconds = |seconds: f64| format!("{:.2} ms", seconds * 1e3);
            let rate = format!("{:.2}", wasm.len() as f64 / load / 1e6);
            rows.add_row([
                module.name.clone(),
                wasm.len().to_string(),
                milliseconds(transfer),
                name.to_owned(),
                milliseconds(load),
                rate,
                milliseconds(call),
                milliseconds(load + call),
            ]);
        }
    }
    served.end(client)?;
    println!("## Portable modules in a served kernel, the engines in ring 3 ({ACCEL})\n\n{rows}\n");
    println!(
        "As a client sees it: `load` is compilation, validation and placement, `first call` the call on the first example. The \
         first result of about 100 KB in tier 0 takes {:.2} ms after the transfer; at most {FIRST} were asked for: {}.\n",
        first * 1e3,
        verdict(first * 1e3, FIRST)
    );
    Ok(())
}

/// Builds a module as WebAssembly, where the comparison with the engines of others has it, too.
fn portable(module: &ModuleCrate, workspace: &Workspace) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut module = module.clone();
    module.target.clone_from(&workspace.target);
    module.settings.portable = true;
    Ok(build_module(&module, Path::new(&workspace.target.join("bench/portable")))?.bytes)
}

/// Pushes a module, calls it once and unloads it. Returns the seconds of transfer, load and call.
fn pushed(client: &mut Client, wasm: &[u8], name: &str, tier: Tier, input: &[u8]) -> Result<[f64; 3], Box<dyn Error>> {
    let start = Instant::now();
    upload(client, wasm, &mut |_, _| ())?;
    let sent = start.elapsed();
    let overrides = LoadOverrides { tier: Some(tier), ..LoadOverrides::default() };
    let loaded = client.ask(Request::Push(Push { label: name, overrides, beside: false, gate: None }))?;
    let ready = start.elapsed();
    let Response::Loaded(_) = loaded else { return Err(format!("{loaded:?}").into()) };
    let called = client.ask(Request::Call { module: name, input, repeat: 1 })?;
    let done = start.elapsed();
    let Response::Called(_) = called else { return Err(format!("{called:?}").into()) };
    client.ask(Request::Unload { module: name })?;
    Ok([sent, ready - sent, done - ready].map(|time| time.as_secs_f64()))
}
