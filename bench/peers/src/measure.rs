//! Clock readings around work, by turns, and the table of the results.

use std::arch::x86_64::{_mm_lfence, _rdtsc};
use std::hint::black_box;

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

/// The fewest rounds of a comparison whose contenders take long.
const LEAST_ROUNDS: usize = 7;

/// A function that does the work the given number of times and returns the last result.
pub type Work<'a> = Box<dyn FnMut(u32) -> i32 + 'a>;

/// One of the programs that are compared.
pub struct Contender<'a> {
    /// The name in tables.
    pub name: String,
    work: Work<'a>,
}

/// The figures of one contender.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The name in tables.
    pub name: String,
    /// The ticks that half of the rounds do not exceed, per call.
    pub median: f64,
    /// The ticks of the cheapest round, per call.
    pub min: f64,
}

impl<'a> Contender<'a> {
    /// Makes a contender that does its work by `once`.
    pub fn new(name: impl Into<String>, mut once: impl FnMut() -> i32 + 'a) -> Contender<'a> {
        let work = move |count| (0..count).fold(0, |_, _| black_box(once()));
        Contender { name: name.into(), work: Box::new(work) }
    }
}

/// Measures all contenders by turns, so that they run under the same conditions.
///
/// In each of `rounds` rounds, each does its work `count` times. There is one round more at the start, which does not
/// count.
///
/// # Panics
/// When one gives another result than `expected`, and so does not do the same work.
pub fn compare(contenders: &mut [Contender<'_>], expected: i32, rounds: usize, count: u32) -> Vec<Figure> {
    let counts = vec![count; contenders.len()];
    compare_counts(contenders, expected, rounds, &counts)
}

/// Measures as [`compare`] does, with turns of about `turn` ticks, whatever each contender takes, and in at most `rounds`
/// rounds: fewer, if together they would take more than `limit` ticks.
pub fn compare_turns(
    contenders: &mut [Contender<'_>],
    expected: i32,
    rounds: usize,
    (turn, limit): (u64, u64),
) -> Vec<Figure> {
    let counts: Vec<_> = contenders
        .iter_mut()
        .map(|contender| {
            (contender.work)(3);
            let start = clock();
            (contender.work)(3);
            let taken = (clock() - start) / 3;
            (u32::try_from(turn / taken.max(1)).unwrap_or(u32::MAX).max(1), taken)
        })
        .collect();
    let round: u64 = counts.iter().map(|(count, taken)| u64::from(*count) * taken).sum();
    let rounds = rounds.min((limit / round.max(1)) as usize).max(LEAST_ROUNDS);
    let counts: Vec<_> = counts.into_iter().map(|(count, _)| count).collect();
    compare_counts(contenders, expected, rounds, &counts)
}

fn compare_counts(contenders: &mut [Contender<'_>], expected: i32, rounds: usize, counts: &[u32]) -> Vec<Figure> {
    let mut ticks = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..=rounds {
        for ((contender, ticks), count) in contenders.iter_mut().zip(&mut ticks).zip(counts) {
            let start = clock();
            let result = (contender.work)(*count);
            let taken = clock() - start;
            assert_eq!(result, expected, "{}", contender.name);
            if round > 0 {
                ticks.push(taken as f64 / f64::from(*count));
            }
        }
    }
    let figures = contenders.iter().zip(ticks).map(|(contender, mut ticks)| {
        ticks.sort_by(f64::total_cmp);
        Figure { name: contender.name.clone(), median: ticks[rounds / 2], min: ticks[0] }
    });
    figures.collect()
}

/// Reads the clock after everything before has completed, and before anything after it begins.
pub fn clock() -> u64 {
    // SAFETY: every x86-64 processor has the instructions, and Linux lets processes use them.
    unsafe {
        _mm_lfence();
        let now = _rdtsc();
        _mm_lfence();
        now
    }
}

/// Formats a table of figures, the first of which is ours.
pub fn table(what: &str, figures: &[Figure]) -> String {
    let mut table = titled(&[what, "ticks, median", "ticks, min", "times ours"]);
    for figure in figures {
        table.add_row([
            figure.name.clone(),
            ticks(figure.median),
            ticks(figure.min),
            ratio(figure.median / figures[0].median),
        ]);
    }
    format!("{table}\n")
}

/// Returns an empty table.
pub fn titled(titles: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(titles);
    table
}

/// Formats a ratio with at least two significant digits.
pub fn ratio(ratio: f64) -> String {
    if ratio < 0.1 { format!("{ratio:.4}") } else { format!("{ratio:.2}") }
}

/// Formats ticks, with a decimal where it is significant.
pub fn ticks(ticks: f64) -> String {
    if ticks < 1000.0 { format!("{ticks:.1}") } else { format!("{ticks:.0}") }
}
