//! Responses as text.

pub mod compare;
pub mod modules;
pub mod receipt;
pub mod stats;
pub mod table;

use std::fmt;

/// A number with at most two decimals, and none where they are zero.
pub(super) struct Rounded(pub f64);

impl fmt::Display for Rounded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.2}", self.0);
        out.pad(text.strip_suffix(".00").unwrap_or(&text))
    }
}

/// Formats an optional value; a missing one is a dash.
pub(super) fn or_dash(value: Option<impl fmt::Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Formats a count: "1 page", "2 pages".
pub(super) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
