//! The statistics as text, in the layout of the C system.

use crate::console::{Console, SEPARATOR, Style};
use crate::line;
use crate::manager::ModuleManager;
use crate::platform::Platform;
use crate::policy::Domain;
use crate::policy::budget::Budget;
use crate::profile::peak::PeakUse;
use crate::profile::{CycleStatistics, ModuleProfile};
use core::fmt;

/// The width of the longest bar, in columns.
const BAR_WIDTH: u64 = 40;

impl<P: Platform> ModuleManager<P> {
    /// Shows the statistics of all modules.
    pub fn report(&self, console: &mut impl Console) {
        let count = self.profiles().count();
        let calls = self.profiles().fold(0_u64, |sum, profile| sum.saturating_add(profile.call_count));
        line!(console, Title, "{SEPARATOR}");
        line!(console, Title, "      MODULE SYSTEM STATISTICS");
        line!(console, Title, "{SEPARATOR}");
        line!(console, Plain, "Total modules loaded: {count}");
        line!(console, Plain, "Total calls:          {calls}");
        for (id, profile) in self.ids().filter_map(|id| Some((id, self.stats(id)?))) {
            line!(console);
            show_profile(console, &profile, self.call_overhead_cycles(), self.clock_step_cycles());
            show_peak(console, self.peak_use(id));
            show_last_fault(console, &profile);
        }
        self.show_comparison(console);
        self.show_price(console);
        line!(console, Title, "{SEPARATOR}");
    }

    /// Shows the cost of a call in each domain that exists.
    fn show_price(&self, console: &mut impl Console) {
        console.show(Style::Plain, format_args!("  Empty call:   "));
        for domain in Domain::ALL {
            if let Some(cycles) = self.empty_call_cycles(domain) {
                console.show(Style::Plain, format_args!(" {} {cycles}", domain.name()));
            }
        }
        line!(console, Plain, " cycles");
    }

    /// Shows a bar for each module that was called, in proportion to its mean call.
    fn show_comparison(&self, console: &mut impl Console) {
        let means = || self.profiles().filter_map(|profile| Some((profile.name, profile.cycles?.mean)));
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
}

fn show_profile(console: &mut impl Console, profile: &ModuleProfile, overhead: u64, step: u64) {
    line!(console, Heading, "=== Module Stats: {} ===", profile.name);
    line!(console, Plain, "  Code address:  {:#x}", profile.code_address);
    line!(console, Plain, "  Code size:     {} bytes", profile.code_size);
    line!(console, Plain, "  Calls:         {}", profile.call_count);
    line!(console, Plain, "  Total cycles:  {}", profile.total_cycles);
    match &profile.cycles {
        Some(cycles) => show_cycles(console, cycles, overhead, step),
        None => {
            for title in ["Avg", "Min", "Max"] {
                line!(console, Plain, "  {title} cycles:    -");
            }
        }
    }
    let (version, generation, size) = (profile.version, profile.generation, profile.blob_size);
    let level = profile.cpu_level;
    line!(
        console,
        Plain,
        "  Version:       {version} (load {generation}), blob {size} bytes, code for x86-64-v{level}"
    );
    let Budget { time_us, stack, heap, .. } = profile.budget;
    let domain = profile.domain.name();
    line!(console, Plain, "  Domain:        {domain}, within {time_us} us, stack {stack}, heap {heap} bytes");
}

/// Shows the peak stack and heap use, as far as it is known; nothing if all that is known is that there is no heap.
fn show_peak(console: &mut impl Console, peak: PeakUse) {
    match (peak.stack_bytes, peak.heap_bytes) {
        (Some(stack), Some(heap)) => line!(console, Plain, "  Peak use:      stack {stack}, heap {heap} bytes"),
        (Some(stack), None) => line!(console, Plain, "  Peak use:      stack {stack} bytes"),
        (None, Some(heap @ 1..)) => line!(console, Plain, "  Peak use:      heap {heap} bytes"),
        (None, _) => {}
    }
}

fn show_last_fault(console: &mut impl Console, profile: &ModuleProfile) {
    if let Some(fault) = profile.fault {
        line!(console, Error, "  Fault:         {fault}");
        line!(console, Error, "  Faults:        {}, restarts {}", profile.faults, profile.restarts);
    }
}

fn show_cycles(console: &mut impl Console, cycles: &CycleStatistics, overhead: u64, step: u64) {
    let corrected = &cycles.corrected;
    line!(console, Plain, "  Avg cycles:    {}", Hundredths(cycles.mean));
    line!(console, Plain, "  Min cycles:    {}", cycles.min);
    line!(console, Plain, "  Max cycles:    {}", cycles.max);
    line!(console, Plain, "  Std deviation: {}", Hundredths(cycles.standard_deviation));
    line!(console, Plain, "  p50 / p99:     {} / {}", cycles.p50, cycles.p99);
    // Split into two lines, since a screen has 80 columns.
    line!(console, Plain, "  Less {overhead} cycles of measuring:");
    line!(
        console,
        Plain,
        "    avg {}, min {}, p50 {}, p99 {}",
        Hundredths(corrected.mean),
        corrected.min,
        corrected.p50,
        corrected.p99
    );
    if corrected.p50 < step {
        line!(console, Warning, "    p50 is below the clock's step of {step} cycles: see --batch");
    }
}

/// A figure with two decimals, or none if they are zero.
///
/// Formatted as an integer, so that a kernel needs no code for floating-point text.
struct Hundredths(f64);

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
    use crate::profile::Timing;
    use crate::testing::{FakePlatform, Text, blob};
    use std::string::ToString;

    #[test]
    fn shows_figures_without_noise() {
        assert_eq!(Hundredths(12.0).to_string(), "12");
        assert_eq!(Hundredths(12.345).to_string(), "12.35");
        assert_eq!(Hundredths(0.05).to_string(), "0.05");
    }

    #[test]
    fn keeps_the_layout_of_the_c_system() {
        let platform = FakePlatform::default();
        let manager = crate::testing::manager(&platform, Timing::Fast);
        let id = manager.load(&blob::small("fibonacci")).unwrap();
        manager.load(&blob::small("sum")).unwrap();
        manager.execute(id).unwrap();
        let mut text = Text::default();
        manager.report(&mut text);
        let shown = text.0;
        let start = "========================================\n      MODULE SYSTEM STATISTICS\n\
            ========================================\nTotal modules loaded: 2\nTotal calls:          1\n\n\
            === Module Stats: fibonacci ===\n  Code address:  0x10000000\n  Code size:     8 bytes\n  Calls:         1\n";
        assert!(shown.starts_with(start), "{shown}");
        assert!(shown.contains("\n  Avg cycles:    10\n  Min cycles:    10\n  Max cycles:    10\n"), "{shown}");
        assert!(shown.contains("\n\n=== Module Stats: sum ===\n"), "{shown}");
        assert!(shown.contains("\n  Avg cycles:    -\n"), "{shown}");
        let bar = "#".repeat(40);
        assert!(
            shown.contains(&std::format!("Performance Comparison (avg cycles)\n  fibonacci    {bar} 10\n")),
            "{shown}"
        );
        assert!(shown.ends_with("\n========================================\n"), "{shown}");
    }
}
