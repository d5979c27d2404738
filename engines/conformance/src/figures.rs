//! Time to compile, size of the code, and its speed, compared with wasmtime's.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use bareflow_abi::header::{HEADER_SIZE, Header};
use bareflow_host::HostPlatform;
use bareflow_loader::ModuleManager;
use bareflow_translator::{Bounds, Options, translate};
use wasmtime::{Config, Engine, Linker, Store};

use crate::HEAP;
use crate::process;

/// The compilations of which the fastest counts.
const COMPILATIONS: u32 = 5;

/// The time for which a function is called.
const CALLS: Duration = Duration::from_millis(500);

/// Prints a line for each file.
pub fn run(options: &Options, files: &[PathBuf]) -> Result<bool> {
    let manager = process::manager()?;
    println!(
        "{:24} {:>9} | ours: ms, text, heap MiB, us a call | wasmtime: ms, text, us a call | ratios",
        "file", "bytes"
    );
    for file in files {
        let wasm = std::fs::read(file).with_context(|| format!("{}", file.display()))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        HEAP.reset_peak_usage();
        let before = HEAP.current_usage_as_mb();
        let (blob, ms) = fastest(|| translate(options, "figure", &wasm).map_err(|error| anyhow!("{error}")))?;
        let heap = HEAP.peak_usage_as_mb() - before;
        let text = blob.first_chunk::<HEADER_SIZE>().map_or(0, |header| Header::from_bytes(header).text_size);
        let call = time_ours(&manager, &blob)?;
        let (their_text, their_ms, their_call) = theirs(options, &wasm)?;
        println!(
            "{name:24} {:9} | {ms:8.1} {text:9} {heap:6.1} {call:10.2} | {their_ms:8.1} {their_text:9} {their_call:10.2} | \
             time {:.2} text {:.2} speed {:.2}",
            wasm.len(),
            ms / their_ms,
            f64::from(text) / their_text as f64,
            their_call / call
        );
    }
    Ok(true)
}

/// Returns the last result and the shortest time, in milliseconds.
fn fastest<T>(mut make: impl FnMut() -> Result<T>) -> Result<(T, f64)> {
    let mut best: Option<(T, f64)> = None;
    for _ in 0..COMPILATIONS {
        let start = Instant::now();
        let made = make()?;
        let ms = start.elapsed().as_secs_f64() * 1e3;
        let shortest = best.map_or(ms, |best| best.1.min(ms));
        best = Some((made, shortest));
    }
    best.context("nothing was made")
}

/// Returns the shortest time of a call, in microseconds.
fn shortest(mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    let (begin, mut best) = (Instant::now(), f64::MAX);
    while begin.elapsed() < CALLS {
        let start = Instant::now();
        call()?;
        best = best.min(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(best)
}

fn time_ours(manager: &ModuleManager<HostPlatform>, blob: &[u8]) -> Result<f64> {
    let id = manager.load_with(blob, &process::OPTIONS)?;
    let best = shortest(|| Ok(manager.execute(id).map(|_| ())?))?;
    manager.unload(id).map_err(|error| anyhow!("{error}"))?;
    Ok(best)
}

fn theirs(options: &Options, wasm: &[u8]) -> Result<(usize, f64, f64)> {
    let failed = |error: wasmtime::Error| anyhow!("{error:?}");
    let mut config = Config::new();
    if options.bounds == Bounds::Checked {
        config.signals_based_traps(false).memory_reservation(0).memory_guard_size(0);
        if !options.spectre_guard {
            // SAFETY: the setting changes no semantics, only what a processor may guess.
            unsafe {
                config.cranelift_flag_set("enable_heap_access_spectre_mitigation", "false");
                config.cranelift_flag_set("enable_table_access_spectre_mitigation", "false");
            }
        }
    }
    let engine = Engine::new(&config).map_err(failed)?;
    let (module, ms) = fastest(|| wasmtime::Module::new(&engine, wasm).map_err(failed))?;
    let text = module.text().len();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    linker.define_unknown_imports_as_traps(&module).map_err(failed)?;
    let instance = linker.instantiate(&mut store, &module).map_err(failed)?;
    let function = instance.get_typed_func::<(), i32>(&mut store, "run").map_err(failed)?;
    let call = shortest(|| function.call(&mut store, ()).map(|_| ()).map_err(failed))?;
    Ok((text, ms, call))
}
