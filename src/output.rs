//! The console of a run in this process: colours on a terminal, plain text elsewhere.
//!
//! All that commands show goes through here, so that `-q` holds for all of it, `--json -` has standard output for
//! itself, and what can't be written is an error at the end of every command.

use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use anstyle::AnsiColor;
use bareflow_loader::report::{Console, Style};

/// Where the console's text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Sink {
    /// To standard output.
    Output,
    /// To standard error, since standard output is the JSON's.
    Errors,
    /// Nowhere.
    Nowhere,
}

static SINK: AtomicU8 = AtomicU8::new(Sink::Output as u8);

/// What standard output could not be written for, at first.
static FAILURE: Mutex<Option<String>> = Mutex::new(None);

/// Writes one line to the console.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {
        $crate::output::show(::std::format_args!("{}\n", ::std::format_args!($($text)*)))
    };
}

/// Writes one line to standard error. There is nobody to tell where that fails.
#[macro_export]
macro_rules! complain {
    ($($text:tt)*) => {{
        use ::std::io::Write as _;
        let _ = ::std::writeln!(::anstream::stderr(), $($text)*);
    }};
}

/// Decides where the console's text goes from now on.
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

/// Writes text that has its colours already to the console, at once.
pub fn show_bytes(text: &[u8]) {
    match sink() {
        Sink::Output => note(io::stdout().write_all(text).and_then(|()| io::stdout().flush())),
        Sink::Errors => {
            let _ = io::stderr().write_all(text);
        }
        Sink::Nowhere => {}
    }
}

/// Writes what is no console's to standard output.
pub fn write_out(bytes: &[u8]) {
    note(io::stdout().write_all(bytes));
}

/// Keeps why something was not written. Whoever reads may stop reading: that is no failure.
fn note(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        FAILURE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.to_string());
    }
}

/// Writes what is left, at the end of a command.
///
/// # Errors
/// Why not all was written.
pub fn finish() -> Result<(), String> {
    note(io::stdout().flush());
    match FAILURE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(error) => Err(format!("can't write to standard output: {error}; what is shown is not all")),
        None => Ok(()),
    }
}

/// The console.
#[derive(Debug, Default)]
pub struct Terminal;

impl Console for Terminal {
    fn show(&mut self, style: Style, text: fmt::Arguments<'_>) {
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

/// Reports a file that is not loaded, as the kernel reports one.
pub fn report_refused(label: &str, error: &str) {
    let style = AnsiColor::Red.on_default();
    complain!("{style}[ERROR] {label}: {error}{style:#}");
}
