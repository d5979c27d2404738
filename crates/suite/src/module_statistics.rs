//! The statistics of a module as text, in the layout of the C system.

use bareflow_loader::Budget;
use bareflow_protocol::report::{Ascent, Environment, Event, Events, Fault, Function, Module, Supervision, TierSwitch};

use crate::console::{Console, Style};
use crate::figures::{Hundredths, Microseconds, OrDash};

/// Shows the statistics of a module: at the end of the run in an `environment`, or while it is in use.
pub fn show_module(console: &impl Console, module: &Module, environment: Option<&Environment>) {
    line!(console, Heading, "=== Module Stats: {} ===", module.name);
    line!(console, Plain, "  Code address:  {:#x}", module.code_address);
    line!(console, Plain, "  Code size:     {} bytes", module.code_size);
    line!(console, Plain, "  Calls:         {}", module.call_count);
    line!(console, Plain, "  Total cycles:  {}", OrDash(module.total_cycles.or(environment.map(|_| 0))));
    line!(console, Plain, "  Avg cycles:    {}", OrDash(module.avg_cycles.map(Hundredths)));
    line!(console, Plain, "  Min cycles:    {}", OrDash(module.min_cycles));
    line!(console, Plain, "  Max cycles:    {}", OrDash(module.max_cycles));
    if module.avg_cycles.is_some() {
        show_cycles(console, module, environment);
    }
    let (version, generation, size) = (&module.version, module.generation, module.blob_size);
    let mark = if module.active { "" } else { ", not active" };
    console.show(Style::Plain, format_args!("  Version:       {version} (load {generation}{mark}), blob {size} bytes"));
    if environment.is_some() {
        console.show(Style::Plain, format_args!(", code for x86-64-v{}", module.cpu_level));
    }
    line!(console);
    let (domain, Budget { time_us, stack_bytes: stack, heap_bytes: heap, .. }) = (&module.domain, module.budget);
    line!(console, Plain, "  Domain:        {domain}, within {time_us} us, stack {stack}, heap {heap} bytes");
    if let Some(engine) = &module.engine {
        line!(console, Plain, "  Engine:        {engine}, tier {}", OrDash(module.tier));
        module.ascent.iter().for_each(|ascent| show_ascent(console, ascent));
    }
    if !module.parameters.is_empty() {
        console.show(Style::Plain, format_args!("  Parameters:   "));
        module.parameters.iter().for_each(|set| console.show(Style::Plain, format_args!(" {set}")));
        line!(console);
    }
    if !module.imports.is_empty() {
        console.show(Style::Plain, format_args!("  Imports:      "));
        module.imports.iter().for_each(|import| console.show(Style::Plain, format_args!(" {import}")));
        line!(console);
    }
    module.functions.iter().for_each(|function| show_function(console, function));
    module.events.iter().for_each(|events| show_events(console, events));
    // Nothing if all that is known is that there is no heap.
    match (module.peak_stack_bytes, module.peak_heap_bytes) {
        (Some(stack), Some(heap)) => line!(console, Plain, "  Peak use:      stack {stack}, heap {heap} bytes"),
        (Some(stack), None) => line!(console, Plain, "  Peak use:      stack {stack} bytes"),
        (None, Some(heap @ 1..)) => line!(console, Plain, "  Peak use:      heap {heap} bytes"),
        (None, _) => {}
    }
    if environment.is_none() {
        line!(console, Plain, "  Memory:        {} bytes", module.memory_bytes);
        line!(console, Plain, "  State:         {}, last result {}", module.shown_state(), OrDash(module.last_result));
    }
    module.supervision.iter().for_each(|supervision| show_supervision(console, supervision));
    if let Some(fault) = &module.fault {
        // In a run, the function was shown with the diagnosis.
        let function = fault.function.clone().filter(|_| environment.is_none());
        line!(console, Error, "  Fault:         {}", Fault { function, ..fault.clone() });
        line!(console, Error, "  Faults:        {}, restarts {}", module.faults, module.restarts);
    }
}

fn show_ascent(console: &impl Console, Ascent { switches, refused }: &Ascent) {
    for TierSwitch { from, to, calls, cycles, compile_cycles, prepare_cycles, switch_cycles, compared } in switches {
        let mean = *cycles as f64 / (*calls).max(1) as f64;
        line!(console, Plain, "    tier {from} -> {to} after {calls} calls of {} cycles on average;", Hundredths(mean));
        line!(
            console,
            Plain,
            "      compiled in {compile_cycles}, prepared in {prepare_cycles}, switched in {switch_cycles} cycles; {compared}"
        );
    }
    if let Some(refused) = refused {
        line!(console, Warning, "    stays in its tier: {refused}");
    }
}

fn show_cycles(console: &impl Console, module: &Module, environment: Option<&Environment>) {
    let corrected = &module.corrected;
    line!(console, Plain, "  Std deviation: {}", OrDash(module.std_dev.map(Hundredths)));
    line!(console, Plain, "  p50 / p99:     {} / {}", OrDash(module.p50_cycles), OrDash(module.p99_cycles));
    // Split into two lines, since a screen has 80 columns.
    match environment {
        Some(run) => line!(console, Plain, "  Less {} cycles of measuring:", run.call_overhead_cycles),
        None => line!(console, Plain, "  Less the cycles of measuring:"),
    }
    line!(
        console,
        Plain,
        "    avg {}, min {}, p50 {}, p99 {}",
        OrDash(corrected.avg.map(Hundredths)),
        OrDash(corrected.min),
        OrDash(corrected.p50),
        OrDash(corrected.p99)
    );
    if let Some(step) = environment.map(|run| run.clock_step_cycles).filter(|&step| corrected.p50 < Some(step)) {
        line!(console, Warning, "    p50 is below the clock's step of {step} cycles: see --batch");
    }
}

fn show_function(console: &impl Console, function: &Function) {
    let Function { name, call_count, faults, min_cycles, avg_cycles, p50_cycles, p99_cycles, .. } = function;
    console.show(Style::Plain, format_args!("  Function:      {name}: calls {call_count}"));
    if *faults > 0 {
        console.show(Style::Error, format_args!(", faults {faults}"));
    }
    line!(console);
    if let Some(mean) = avg_cycles {
        let [min, p50, p99] = [min_cycles, p50_cycles, p99_cycles].map(|cycles| OrDash(*cycles));
        line!(console, Plain, "    cycles: avg {}, min {min}, p50 {p50}, p99 {p99}", Hundredths(*mean));
    }
}

fn show_events(console: &impl Console, events: &Events) {
    let Events { list, ended, handled, missed, late, longest_delay_us } = events;
    let (delay, ended) = (Microseconds(*longest_delay_us), if *ended { ", ended" } else { "" });
    line!(
        console,
        Plain,
        "  Events:        handled {handled}, missed {missed}, late {late}, delay up to {delay}{ended}"
    );
    for Event { name, kind, source, due_in_us, period_us, pending, awaited } in list {
        console.show(Style::Plain, format_args!("    {name}: {kind}"));
        if !source.is_empty() {
            console.show(Style::Plain, format_args!(" {source}"));
        }
        if let Some(due_in_us) = due_in_us {
            console.show(Style::Plain, format_args!(", due in {}", Microseconds(*due_in_us)));
        }
        if *period_us > 0 {
            console.show(Style::Plain, format_args!(", every {}", Microseconds(*period_us)));
        }
        let (pending, awaited) = (if *pending { ", pending" } else { "" }, if *awaited { ", awaited" } else { "" });
        line!(console, Plain, "{pending}{awaited}");
    }
}

fn show_supervision(console: &impl Console, supervision: &Supervision) {
    let Supervision { on_fault, restarts_within_window: restarts, .. } = supervision;
    console.show(Style::Plain, format_args!("  On fault:      {on_fault}, restarts within the window {restarts}"));
    match &supervision.previous {
        Some(version) => line!(console, Plain, ", may return to {version}"),
        None => line!(console),
    }
    if let (Some(from), Some(fault)) = (&supervision.fell_back_from, &supervision.fell_back_for) {
        line!(console, Error, "  Fell back:     {from} faulted: {fault}");
    }
    supervision.refusal.iter().for_each(|refusal| line!(console, Error, "  Not started:   {refusal}"));
}
