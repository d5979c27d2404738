//! Responses as text.

pub mod compare;
pub mod modules;
pub mod receipt;
pub mod stats;
pub mod table;

/// Formats a count: "1 page", "2 pages".
pub(super) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
