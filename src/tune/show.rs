//! The candidates as a table and as bars, and as JSON.

use bareflow_builder::discover::ModuleCrate;
use bareflow_suite::console::{Console, Style};
use bareflow_suite::figures::OrDash;
use bareflow_suite::line;
use serde::Serialize;

use super::candidates::Candidate;
use super::choice::Choice;
use crate::client::show::aligned;
use crate::output::Terminal;
use crate::say;

/// The width of the longest bar, in columns.
const BAR_WIDTH: u64 = 40;

/// Shows the candidates, the choice and the notes.
pub(super) fn show(candidates: &[Candidate], choice: &Choice, notes: &[String]) {
    let or_dash = |figure: Option<u64>| OrDash(figure).to_string();
    let rows = candidates.iter().map(|candidate| {
        let ticks = candidate.ticks;
        vec![
            format!("v{}", candidate.codegen.cpu_level),
            candidate.codegen.opt_level.clone(),
            if candidate.codegen.profile.is_some() { "yes" } else { "no" }.to_owned(),
            or_dash(ticks.map(|ticks| ticks.median)),
            or_dash(ticks.map(|ticks| ticks.min)),
            or_dash(candidate.instructions),
            candidate.blob.len().to_string(),
            if choice.has(candidate) { "chosen" } else { "" }.to_owned(),
        ]
    });
    let titles = ["CPU", "OPT", "PROFILE", "TICKS", "MIN", "INSTRUCTIONS", "BYTES", ""];
    say!("{}", aligned(&titles, &[3, 4, 5, 6], rows));
    say!(
        "\nTICKS and MIN: median and least of a call here; INSTRUCTIONS: of a call in the kernel; -: not its processor"
    );
    show_bars(candidates);
    for note in notes {
        crate::complain!("note: {note}");
    }
    say!("\nchoice: {}", settings(choice));
}

/// Shows a bar for each candidate that ran here, as long as its median call.
fn show_bars(candidates: &[Candidate]) {
    let ran = || candidates.iter().filter_map(|candidate| Some((candidate, candidate.ticks.as_ref()?.median)));
    let Some(longest) = ran().map(|(_, ticks)| ticks).max().filter(|&longest| longest > 0) else { return };
    let console = &mut Terminal;
    line!(console);
    line!(console, Title, "Performance Comparison (median ticks)");
    for (candidate, ticks) in ran() {
        let name = candidate.short();
        // At least one column, so that every candidate is seen.
        let columns = usize::try_from((ticks * BAR_WIDTH / longest).max(1)).unwrap_or_default();
        console.show(Style::Plain, format_args!("  {name:<12} "));
        console.show(Style::Good, format_args!("{:#<columns$}", ""));
        line!(console, Plain, " {ticks}");
    }
}

/// Formats the choice as in `Cargo.toml`.
fn settings(choice: &Choice) -> String {
    let mut text = format!("opt-level = {}", super::write::opt_level(&choice.opt_level));
    let level = |(level, opt): (&u8, &String)| format!("v{level} = {}", super::write::opt_level(opt));
    let variants: Vec<_> = choice.variants.iter().map(level).collect();
    if !variants.is_empty() {
        text += &format!(", variants = {{ {} }}", variants.join(", "));
    }
    if choice.profile.is_some() {
        text += &format!(", profile = \"{}\"", super::write::PROFILE);
    }
    text
}

/// The outcome that is written as JSON.
#[derive(Serialize)]
pub(super) struct Tuning {
    module: String,
    cpu: String,
    candidates: Vec<Row>,
    choice: Chosen,
    notes: Vec<String>,
    written: bool,
}

#[derive(Serialize)]
struct Row {
    cpu_level: u8,
    opt_level: String,
    profile: bool,
    median_ticks: Option<u64>,
    min_ticks: Option<u64>,
    instructions: Option<u64>,
    blob_size: usize,
    chosen: bool,
}

#[derive(Serialize)]
struct Chosen {
    opt_level: String,
    variants: std::collections::BTreeMap<u8, String>,
    profile: bool,
}

impl Tuning {
    /// Collects the outcome.
    pub fn new(
        module: &ModuleCrate,
        candidates: &[Candidate],
        choice: &Choice,
        notes: &[String],
        written: bool,
    ) -> Tuning {
        let row = |candidate: &Candidate| Row {
            cpu_level: candidate.codegen.cpu_level,
            opt_level: candidate.codegen.opt_level.clone(),
            profile: candidate.codegen.profile.is_some(),
            median_ticks: candidate.ticks.map(|ticks| ticks.median),
            min_ticks: candidate.ticks.map(|ticks| ticks.min),
            instructions: candidate.instructions,
            blob_size: candidate.blob.len(),
            chosen: choice.has(candidate),
        };
        let Choice { opt_level, variants, profile } = choice.clone();
        Tuning {
            module: module.name.clone(),
            cpu: bareflow_host::cpu_name(),
            candidates: candidates.iter().map(row).collect(),
            choice: Chosen { opt_level, variants, profile: profile.is_some() },
            notes: notes.to_vec(),
            written,
        }
    }
}
