//! The names of events and notifications.

use crate::const_bytes::is_same;
use crate::header::{NAME_SIZE, is_name_byte};

/// The longest name of an event, in bytes.
pub const MAX_EVENT_NAME: usize = 31;

/// The notification that the loader publishes in the name of a module that faulted.
pub const FAULTED: &str = "faulted";

/// The notification that the loader publishes in the name of a module that was started again.
pub const RESTARTED: &str = "restarted";

/// The notification that the loader publishes in the name of a module that a fault stopped for good.
pub const STOPPED: &str = "stopped";

/// Returns whether the loader itself publishes notifications of this name, so that no module may.
#[must_use]
pub const fn is_published_by_loader(name: &str) -> bool {
    is_same(name, FAULTED) || is_same(name, RESTARTED) || is_same(name, STOPPED)
}

/// Returns whether a text is the name of an event: up to [`MAX_EVENT_NAME`] of `a` to `z`, `0` to `9` and `_`, not
/// beginning with a digit.
#[must_use]
pub const fn is_event_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        let is_digit = bytes[index].is_ascii_digit();
        if !(bytes[index].is_ascii_lowercase() || bytes[index] == b'_' || is_digit && index > 0) {
            return false;
        }
        index += 1;
    }
    !bytes.is_empty() && bytes.len() <= MAX_EVENT_NAME
}

/// Returns whether a text names a notification of a module: `module.notification`.
#[must_use]
pub fn is_source(source: &str) -> bool {
    source.split_once('.').is_some_and(|(module, name)| {
        (1..NAME_SIZE).contains(&module.len()) && module.bytes().all(is_name_byte) && is_event_name(name)
    })
}
