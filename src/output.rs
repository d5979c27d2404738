//! The console of a run in this process: colours on a terminal, plain text elsewhere.

use std::fmt;
use std::io::{IsTerminal, Write};

use anstyle::AnsiColor;
use bareflow_loader::report::{Console, Style};

/// Writes one line to standard output. Whoever reads may stop reading: that is no error.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {{
        use ::std::io::Write as _;
        let _ = ::std::writeln!(::anstream::stdout(), $($text)*);
    }};
}

/// Standard output.
#[derive(Debug, Default)]
pub struct Terminal;

impl Console for Terminal {
    fn show(&mut self, style: Style, text: fmt::Arguments<'_>) {
        let style = match style {
            Style::Plain => anstyle::Style::new(),
            Style::Title => AnsiColor::Cyan.on_default(),
            Style::Heading | Style::Warning => AnsiColor::Yellow.on_default(),
            Style::Good => AnsiColor::Green.on_default(),
            Style::Bad => AnsiColor::Red.on_default(),
        };
        // Whoever reads may stop reading; the run goes on.
        let _ = write!(anstream::stdout(), "{style}{text}{style:#}");
    }
}

/// Whether standard output shows colours: it is a terminal, and `NO_COLOR` isn't set.
#[must_use]
pub fn shows_colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
