//! The statistics of a run as text, in the layout of the C system.

use bareflow_protocol::report::{DomainCost, Environment, Module};

use crate::console::{Console, SEPARATOR, Style};
use crate::figures::Hundredths;
use crate::module_statistics::show_module;

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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use core::cell::RefCell;
    use core::fmt::{self, Write};

    use bareflow_loader::Budget;
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
            engine: None,
            tier: None,
            ascent: None,
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
}
