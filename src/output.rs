//! The console of a run in this process: colours on a terminal, plain text elsewhere.
//!
//! All output of commands goes through here. This makes `-q` cover all of it, keeps standard output free for `--json
//! -`, and turns a failed write into an error at the end of every command.

use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use anstyle::AnsiColor;
use bareflow_suite::console::{Console, Style};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// The destination of the console's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Sink {
    /// Standard output.
    Output,
    /// Standard error, when standard output carries JSON.
    Errors,
    /// Nowhere.
    Nowhere,
}

static SINK: AtomicU8 = AtomicU8::new(Sink::Output as u8);

/// The first error in writing to standard output.
static FAILURE: Mutex<Option<String>> = Mutex::new(None);

/// Writes one line to the console.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {
        $crate::output::show(::std::format_args!("{}\n", ::std::format_args!($($text)*)))
    };
}

/// Writes one line to standard error. A failure is ignored, since it can't be reported.
#[macro_export]
macro_rules! complain {
    ($($text:tt)*) => {{
        use ::std::io::Write as _;
        let _ = ::std::writeln!(::anstream::stderr(), $($text)*);
    }};
}

/// Sets the destination of the console's text.
pub fn set_sink(sink: Sink) {
    SINK.store(sink as u8, Ordering::Relaxed);
}

fn sink() -> Sink {
    match SINK.load(Ordering::Relaxed) {
        found if found == Sink::Errors as u8 => Sink::Errors,
        found if found == Sink::Nowhere as u8 => Sink::Nowhere,
        _ => Sink::Output,
    }
}

/// Writes text to the console.
pub fn show(text: fmt::Arguments<'_>) {
    match sink() {
        Sink::Output => note(write!(anstream::stdout(), "{text}")),
        Sink::Errors => {
            let _ = write!(anstream::stderr(), "{text}");
        }
        Sink::Nowhere => {}
    }
}

/// Writes text that already contains its colours to the console, and flushes it.
pub fn show_bytes(text: &[u8]) {
    match sink() {
        Sink::Output => note(io::stdout().write_all(text).and_then(|()| io::stdout().flush())),
        Sink::Errors => {
            let _ = io::stderr().write_all(text);
        }
        Sink::Nowhere => {}
    }
}

/// Writes bytes that don't belong to the console to standard output.
pub fn write_out(bytes: &[u8]) {
    note(io::stdout().write_all(bytes));
}

/// Keeps the first error in writing. A closed pipe is none: the reader may stop at any time.
fn note(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        FAILURE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.to_string());
    }
}

/// Flushes the output at the end of a command.
///
/// # Errors
/// The first error in writing.
pub fn finish() -> anyhow::Result<()> {
    note(io::stdout().flush());
    if let Some(error) = FAILURE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        anyhow::bail!("can't write to standard output: {error}; what is shown is not all");
    }
    Ok(())
}

/// The terminal as a run's console.
#[derive(Debug, Default)]
pub struct Terminal;

impl Console for Terminal {
    fn show(&self, style: Style, text: fmt::Arguments<'_>) {
        let style = match style {
            Style::Plain => anstyle::Style::new(),
            Style::Title => AnsiColor::Cyan.on_default(),
            Style::Heading | Style::Warning => AnsiColor::Yellow.on_default(),
            Style::Good => AnsiColor::Green.on_default(),
            Style::Error => AnsiColor::Red.on_default(),
        };
        show(format_args!("{style}{text}{style:#}"));
    }
}

/// Whether the console shows colours: it is a terminal, and `NO_COLOR` isn't set.
#[must_use]
pub fn shows_colour() -> bool {
    let is_terminal = match sink() {
        Sink::Output => io::stdout().is_terminal(),
        Sink::Errors => io::stderr().is_terminal(),
        Sink::Nowhere => false,
    };
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Returns a progress bar of that form; hidden unless standard error is a terminal.
#[must_use]
pub fn progress_bar(length: Option<u64>, template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
        // Without a rate, there is nothing else to show.
        let _ = write!(out, "{:.0}/s", state.per_sec());
    };
    let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let style = ProgressStyle::with_template(template);
    style.map_or(bar.clone(), |style| bar.with_style(style.with_key("rate", rate)))
}

/// Reports a file that was not loaded, in the kernel's format.
pub fn report_refused(label: &str, error: &str) {
    let style = AnsiColor::Red.on_default();
    complain!("{style}[ERROR] {label}: {error}{style:#}");
}
