//! Times on the command line, such as `2s` or `500ms`.

use std::time::Duration;

/// Reads a time: a whole number of seconds or milliseconds.
pub(super) fn read(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit())?);
    let number = digits.parse().ok()?;
    match unit {
        "s" => Some(Duration::from_secs(number)),
        "ms" => Some(Duration::from_millis(number)),
        _ => None,
    }
}
