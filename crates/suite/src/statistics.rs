//! The statistics of modules as text, in the layout of the C system.

use core::fmt;

use bareflow_loader::Budget;
use bareflow_protocol::report::{DomainCost, Environment, Event, Events, Fault, Function, Module, Supervision};

use crate::console::{Console, SEPARATOR, Style};

/// The width of the longest bar, in columns.
const BAR_WIDTH: u64 = 40;

/// Shows the statistics of all `modules` of a run.
pub(crate) fn show(console: &impl Console, environment: &Environment, modules: &[Module]) {
    let calls: u64 = modules.iter().map(|module| module.call_count).sum();
    line!(console, Title, "{SEPARATOR}");
    line!(console, Title, "      MODULE SYSTEM STATISTICS");
    line!(console, Title, "{SEPARATOR}");
    line!(console, Plain, "Total modules loaded: {}", modules.len());
    line!(console, Plain, "Total calls:          {calls}");
    for module in modules {
        line!(console);
        show_module(console, module, Some(environment));
    }
    show_comparison(console, modules);
    show_price(console, &environment.domains);
    line!(console, Title, "{SEPARATOR}");
}

/// Shows the cost of a call in each domain that exists.
fn show_price(console: &impl Console, domains: &[DomainCost]) {
    console.show(Style::Plain, format_args!("  Empty call:   "));
    for DomainCost { domain, empty_call_cycles } in domains {
        console.show(Style::Plain, format_args!(" {domain} {empty_call_cycles}"));
    }
    line!(console, Plain, " cycles");
}

/// Shows a bar for each module that was called, in proportion to its mean call.
fn show_comparison(console: &impl Console, modules: &[Module]) {
    let means = || modules.iter().filter_map(|module| Some((&module.name, module.avg_cycles?)));
    let longest = means().fold(0.0_f64, |longest, (_, mean)| longest.max(mean));
    if longest <= 0.0 {
        return;
    }
    line!(console);
    line!(console, Title, "Performance Comparison (avg cycles)");
    for (name, mean) in means() {
        // At least one column, so that every module that ran is visible.
        let columns = ((mean / longest * BAR_WIDTH as f64) as usize).clamp(1, BAR_WIDTH as usize);
        console.show(Style::Plain, format_args!("  {name:<12} "));
        console.show(Style::Good, format_args!("{:#<columns$}", ""));
        line!(console, Plain, " {}", Hundredths(mean));
    }
}

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

/// An optional value; a missing one is a dash.
#[derive(Clone, Copy, Debug)]
pub struct OrDash<T>(pub Option<T>);

impl<T: fmt::Display> fmt::Display for OrDash<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(formatter),
            None => formatter.write_str("-"),
        }
    }
}

/// A time in microseconds, shown in the unit in which it is a short number.
#[derive(Clone, Copy, Debug)]
pub struct Microseconds(pub u64);

impl fmt::Display for Microseconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            us @ ..1_000 => write!(formatter, "{us} us"),
            us @ ..10_000_000 => write!(formatter, "{} ms", us / 1_000),
            us => write!(formatter, "{} s", us / 1_000_000),
        }
    }
}

/// A figure with two decimals, or none if they are zero.
///
/// Formatted as an integer, so that a kernel needs no code for floating-point text.
#[derive(Clone, Copy, Debug)]
pub struct Hundredths(pub f64);

impl fmt::Display for Hundredths {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = (self.0 * 100.0 + 0.5) as u128;
        match (hundredths / 100, hundredths % 100) {
            (whole, 0) => write!(formatter, "{whole}"),
            (whole, part) => write!(formatter, "{whole}.{part:02}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use core::cell::RefCell;
    use core::fmt::Write;

    use bareflow_protocol::report::Corrected;

    #[derive(Default)]
    struct Text(RefCell<String>);

    impl Console for Text {
        fn show(&self, _: Style, text: fmt::Arguments<'_>) {
            self.0.borrow_mut().write_fmt(text).unwrap();
        }
    }

    /// A module whose only call, if it was called, took `cycles`.
    fn module(name: &str, cycles: Option<u64>) -> Module {
        let mean = cycles.map(|cycles| cycles as f64);
        Module {
            name: name.into(),
            version: "1.2.3".into(),
            generation: 1,
            domain: "kernel".into(),
            state: "loaded".into(),
            active: true,
            memory_bytes: 4096,
            code_address: 0x1000_0000,
            cpu_level: 1,
            code_size: 8,
            blob_size: 136,
            call_count: cycles.map_or(0, |_| 1),
            total_cycles: cycles,
            min_cycles: cycles,
            max_cycles: cycles,
            avg_cycles: mean,
            std_dev: mean.map(|_| 0.0),
            p50_cycles: cycles,
            p99_cycles: cycles,
            corrected: Corrected { min: cycles, avg: mean, p50: cycles, p99: cycles },
            timed_calls: cycles.map_or(0, |_| 1),
            batch: None,
            last_result: None,
            fault: None,
            diagnosis: None,
            faults: 0,
            restarts: 0,
            budget: Budget::DEFAULT,
            peak_stack_bytes: None,
            peak_heap_bytes: None,
            parameters: [].into(),
            imports: [].into(),
            functions: [].into(),
            events: None,
            supervision: None,
        }
    }

    #[test]
    fn keeps_the_layout_of_the_c_system() {
        let environment = Environment {
            place: "host".into(),
            clock: "tsc".into(),
            timing: "fast".into(),
            call_overhead_cycles: 2,
            cpu: "test".into(),
            domains: [DomainCost { domain: "kernel".into(), empty_call_cycles: 30 }].into(),
            first_call_cycles: None,
            clock_step_cycles: 1,
            clock_invariant: true,
            clock_hertz: None,
            load_cycles: None,
        };
        let text = Text::default();
        show(&text, &environment, &[module("fibonacci", Some(10)), module("sort", Some(5)), module("sum", None)]);
        let expected = "\
========================================
      MODULE SYSTEM STATISTICS
========================================
Total modules loaded: 3
Total calls:          2

=== Module Stats: fibonacci ===
  Code address:  0x10000000
  Code size:     8 bytes
  Calls:         1
  Total cycles:  10
  Avg cycles:    10
  Min cycles:    10
  Max cycles:    10
";
        let shown = text.0.into_inner();
        assert!(shown.starts_with(expected), "{shown}");
        let expected = "
=== Module Stats: sum ===
  Code address:  0x10000000
  Code size:     8 bytes
  Calls:         0
  Total cycles:  0
  Avg cycles:    -
  Min cycles:    -
  Max cycles:    -
  Version:       1.2.3 (load 1), blob 136 bytes, code for x86-64-v1
  Domain:        kernel, within 1000000 us, stack 65536, heap 0 bytes

Performance Comparison (avg cycles)
  fibonacci    ######################################## 10
  sort         #################### 5
  Empty call:    kernel 30 cycles
========================================
";
        assert!(shown.ends_with(expected), "{shown}");
    }

    #[test]
    fn shows_figures_without_noise() {
        assert_eq!(Hundredths(12.0).to_string(), "12");
        assert_eq!(Hundredths(12.345).to_string(), "12.35");
        assert_eq!(Hundredths(0.05).to_string(), "0.05");
    }
}
