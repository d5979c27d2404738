//! The machine on which the figures were measured.

use std::process::Command;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use crate::measure::clock;

/// The time over which the clock is compared with the system's.
const WINDOW: Duration = Duration::from_millis(200);

/// Returns the processor's name with its family and model, which tell its generation.
pub fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let number = |what: &str| {
        let (_, number) = info.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == what)?;
        Some(number.trim().to_owned())
    };
    let [family, model] = ["cpu family", "model"].map(|what| number(what).unwrap_or_else(|| "unknown".to_owned()));
    format!("{}, family {family}, model {model}", bareflow_host::cpu_name())
}

/// Describes the machine as a Markdown list.
pub fn describe() -> String {
    let (start, first) = (Instant::now(), clock());
    std::thread::sleep(WINDOW);
    let megahertz = (clock() - first) as f64 / start.elapsed().as_secs_f64() / 1e6;
    let system = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = system
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .unwrap_or("unknown")
        .trim_matches('"')
        .to_owned();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let processors = available_parallelism().map_or(0, usize::from);
    let mut lines = vec![
        ("processor", format!("{} (x86-64-v{}), {processors} of them", processor(), bareflow_host::cpu_level())),
        ("clock", format!("TSC at {megahertz:.0} MHz, {} steps at a time", step())),
        ("system", format!("{system}, {}", first_line("uname", "-sr"))),
        ("load at the start", load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")),
    ];
    for (what, tool) in [("rustc", "rustc"), ("gcc", "gcc"), ("clang", "clang"), ("QEMU", "qemu-system-x86_64")] {
        lines.push((what, first_line(tool, "--version")));
    }
    lines.into_iter().map(|(what, text)| format!("- {what}: {text}\n")).collect()
}

/// Returns the smallest step between two readings of the clock.
fn step() -> u64 {
    (0..10_000).map(|_| clock()).scan(clock(), |last, now| Some(now - std::mem::replace(last, now))).fold(0, gcd)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn first_line(tool: &str, argument: &str) -> String {
    let said = Command::new(tool).arg(argument).output();
    let text = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("not here, left out").to_owned()
}
