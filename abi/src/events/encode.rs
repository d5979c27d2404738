//! Encodes events at compile time.

use super::{Event, FLAG_AT_START, Kind, is_event_name, is_published_by_loader};
use crate::const_bytes::put;

/// Returns the size of encoded events, in bytes.
#[must_use]
pub const fn encoded_size(events: &[Event<'_>]) -> usize {
    let (mut size, mut index) = (0, 0);
    while index < events.len() {
        size += events[index].encoded_size();
        index += 1;
    }
    size
}

/// Encodes events, in exactly [`encoded_size`] bytes.
///
/// # Panics
/// If a name or a source is too long, or a notification has a [name of the loader's](is_published_by_loader).
#[must_use]
pub const fn encode<const N: usize>(events: &[Event<'_>]) -> [u8; N] {
    let (mut bytes, mut at, mut index) = ([0; N], 0, 0);
    while index < events.len() {
        let event = &events[index];
        assert!(is_event_name(event.name), "an event's name has at most 31 of a to z, 0 to 9 and _");
        let is_notification = matches!(event.kind, Kind::Notification);
        assert!(
            !(is_notification && is_published_by_loader(event.name)),
            "faulted, restarted and stopped are published by the loader"
        );
        assert!(event.source.len() <= u8::MAX as usize, "a source is `module.notification`");
        let flags = if event.at_start { FLAG_AT_START } else { 0 };
        at = put(&mut bytes, at, &[event.kind as u8, flags, event.name.len() as u8, event.source.len() as u8]);
        at = put(&mut bytes, at, &event.function.to_le_bytes());
        at = put(&mut bytes, at, &[0, 0]);
        at = put(&mut bytes, at, &event.period_us.to_le_bytes());
        at = put(&mut bytes, at, event.name.as_bytes());
        at = put(&mut bytes, at, event.source.as_bytes());
        index += 1;
    }
    bytes
}
