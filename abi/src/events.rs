//! The events of a module: its timers, what it subscribes to and what it publishes, as a record of its blob.
//!
//! [`module!`](crate::module) encodes them, the packer makes them a record, and the loader reads them. An entry is a
//! [header](HEADER_SIZE), the event's name, and the source of a subscription. Since ABI 1.4.

use crate::header::is_name_byte;

/// The section of a module's events; the packer makes a record of it and drops it.
pub const EVENTS_SECTION: &str = ".bareflow.events";

/// The maximum number of events that a module handles, and of notifications that it publishes: a word has a bit for
/// each.
pub const MAX_EVENTS: usize = 64;

/// The longest name of an event, in bytes.
pub const MAX_EVENT_NAME: usize = 31;

/// The size of an entry before its names, in bytes.
///
/// Kind, flags, the lengths of name and source (a `u8` each), the function's number (a `u16`), two zeros, and the period
/// in microseconds (a `u64`).
pub const HEADER_SIZE: usize = 16;

/// The flag of an event that is due once at once, when the module goes live.
pub const FLAG_AT_START: u8 = 1;

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A timer, which is due after a time, or each time that a period has passed.
    Timer = 0,
    /// A notification of another module's.
    Subscription = 1,
    /// A notification that the module publishes.
    Notification = 2,
    /// The request to end.
    Stop = 3,
    /// A timer that starts anew behind each handler; when it is due, that is a fault of the module.
    Watchdog = 4,
}

impl Kind {
    const fn from_number(number: u8) -> Option<Kind> {
        Some(match number {
            0 => Kind::Timer,
            1 => Kind::Subscription,
            2 => Kind::Notification,
            3 => Kind::Stop,
            4 => Kind::Watchdog,
            _ => return None,
        })
    }

    /// Returns the kind's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Timer => "timer",
            Kind::Subscription => "subscription",
            Kind::Notification => "notification",
            Kind::Stop => "stop",
            Kind::Watchdog => "watchdog",
        }
    }

    /// Returns whether a function handles it.
    #[must_use]
    pub const fn has_handler(self) -> bool {
        matches!(self, Kind::Timer | Kind::Subscription | Kind::Stop)
    }

    /// Returns whether it is timed.
    #[must_use]
    pub const fn is_timed(self) -> bool {
        matches!(self, Kind::Timer | Kind::Watchdog)
    }
}

/// An event that a module handles, or a notification that it publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'bytes> {
    /// The kind.
    pub kind: Kind,
    /// Whether it is due once at once, when the module goes live.
    pub at_start: bool,
    /// The number of the plain function that handles it; 0 if none does.
    pub function: u16,
    /// The period of a timer, in microseconds, or 0 if only the module starts it; the time of a watchdog.
    pub period_us: u64,
    /// The name.
    pub name: &'bytes str,
    /// The notification that a subscription is for, `module.notification`; empty for other kinds.
    pub source: &'bytes str,
}

impl Event<'_> {
    /// Returns the size of the encoded event, in bytes.
    #[must_use]
    pub const fn encoded_size(&self) -> usize {
        HEADER_SIZE + self.name.len() + self.source.len()
    }

    /// Returns the module and the notification that a subscription is for.
    #[must_use]
    pub fn source_parts(&self) -> Option<(&str, &str)> {
        self.source.split_once('.')
    }
}

/// An error in the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadEvent {
    /// An entry extends beyond the end of the record.
    CutOff,
    /// The kind or a flag is unknown, or a reserved byte is not zero.
    Kind,
    /// The name breaks the naming rule.
    Name,
    /// The source is not one of a subscription, or not `module.notification`.
    Source,
    /// The name is there twice.
    Twice,
    /// There is a function that can't be, or none that is a plain one.
    Function,
    /// There is a period that can't be, or a watchdog has none.
    Period,
    /// There are more than [`MAX_EVENTS`], or a second stop or watchdog.
    Count,
}

impl BadEvent {
    /// Returns a description for messages.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            BadEvent::CutOff => "it extends beyond the end of the record",
            BadEvent::Kind => "its kind or its flags are unknown",
            BadEvent::Name => "its name breaks the rule",
            BadEvent::Source => "its source is not `module.notification`",
            BadEvent::Twice => "its name is there twice",
            BadEvent::Function => "no function of the module's handles it",
            BadEvent::Period => "it has no period that it can have",
            BadEvent::Count => "it is one too many",
        }
    }
}

/// An iterator over the events of a record; it ends at the first that is invalid.
#[derive(Clone, Copy, Debug)]
pub struct Events<'bytes>(&'bytes [u8]);

impl<'bytes> Events<'bytes> {
    /// Creates an iterator over encoded events.
    #[must_use]
    pub const fn new(bytes: &'bytes [u8]) -> Events<'bytes> {
        Events(bytes)
    }

    /// Validates the record `bytes` of a module whose plain functions have the numbers in `functions`.
    ///
    /// # Errors
    /// The number of the first invalid entry, counted from 1, and the reason.
    pub fn check(bytes: &'bytes [u8], functions: core::ops::Range<usize>) -> Result<(), (usize, BadEvent)> {
        let (mut rest, mut count) = (Events(bytes), 0);
        let (mut handled, mut published) = (0, 0);
        while !rest.0.is_empty() {
            count += 1;
            let wrong = |what| Err((count, what));
            let event = match rest.read() {
                Ok(event) => event,
                Err(what) => return wrong(what),
            };
            let total = if event.kind == Kind::Notification { &mut published } else { &mut handled };
            *total += 1;
            let mut earlier = Events(bytes).take(count - 1);
            let single = matches!(event.kind, Kind::Stop | Kind::Watchdog);
            if *total > MAX_EVENTS || single && earlier.clone().any(|other| other.kind == event.kind) {
                return wrong(BadEvent::Count);
            }
            let publishes = |other: &Event<'_>| other.kind == Kind::Notification;
            if earlier.any(|other| other.name == event.name && publishes(&other) == publishes(&event)) {
                return wrong(BadEvent::Twice);
            }
            if event.kind.has_handler() && !functions.contains(&event.function.into()) {
                return wrong(BadEvent::Function);
            }
        }
        Ok(())
    }

    /// Iterates over the events that the module handles, which are numbered in this order.
    pub fn handled(self) -> impl Iterator<Item = Event<'bytes>> {
        self.filter(|event| event.kind != Kind::Notification)
    }

    /// Iterates over the notifications that the module publishes, which are numbered in this order.
    pub fn published(self) -> impl Iterator<Item = Event<'bytes>> {
        self.filter(|event| event.kind == Kind::Notification)
    }

    fn read(&mut self) -> Result<Event<'bytes>, BadEvent> {
        let (header, rest) = self.0.split_first_chunk::<HEADER_SIZE>().ok_or(BadEvent::CutOff)?;
        let [kind, flags, name, source, a, b, c, d, period @ ..] = *header;
        let (name, rest) = rest.split_at_checked(name.into()).ok_or(BadEvent::CutOff)?;
        let (source, rest) = rest.split_at_checked(source.into()).ok_or(BadEvent::CutOff)?;
        let kind = Kind::from_number(kind).ok_or(BadEvent::Kind)?;
        let at_start = flags & FLAG_AT_START != 0;
        if flags & !FLAG_AT_START != 0 || (c, d) != (0, 0) || at_start && kind != Kind::Timer {
            return Err(BadEvent::Kind);
        }
        let (name, source) = (core::str::from_utf8(name), core::str::from_utf8(source));
        let name = name.ok().filter(|name| is_event_name(name)).ok_or(BadEvent::Name)?;
        let is_subscription = kind == Kind::Subscription;
        let source = source.ok().filter(|source| is_source(source) == is_subscription).ok_or(BadEvent::Source)?;
        if !is_subscription && !source.is_empty() {
            return Err(BadEvent::Source);
        }
        let function = u16::from_le_bytes([a, b]);
        if function != 0 && !kind.has_handler() {
            return Err(BadEvent::Function);
        }
        let period_us = u64::from_le_bytes(period);
        if period_us != 0 && !kind.is_timed() || period_us == 0 && kind == Kind::Watchdog {
            return Err(BadEvent::Period);
        }
        self.0 = rest;
        Ok(Event { kind, at_start, function, period_us, name, source })
    }
}

impl<'bytes> Iterator for Events<'bytes> {
    type Item = Event<'bytes>;

    fn next(&mut self) -> Option<Event<'bytes>> {
        self.read().ok()
    }
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
        (1..crate::header::NAME_SIZE).contains(&module.len()) && module.bytes().all(is_name_byte) && is_event_name(name)
    })
}

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
/// If a name or a source is too long.
#[must_use]
pub const fn encode<const N: usize>(events: &[Event<'_>]) -> [u8; N] {
    let (mut bytes, mut at, mut index) = ([0; N], 0, 0);
    while index < events.len() {
        let event = &events[index];
        assert!(is_event_name(event.name), "an event's name has at most 31 of a to z, 0 to 9 and _");
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

/// Writes `part` at `at`. Returns its end.
const fn put(bytes: &mut [u8], at: usize, part: &[u8]) -> usize {
    let mut index = 0;
    while index < part.len() {
        bytes[at + index] = part[index];
        index += 1;
    }
    at + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Event<'_> =
        Event { kind: Kind::Timer, at_start: true, function: 2, period_us: 1000, name: "tick", source: "" };
    const PRICE: Event<'_> = Event {
        kind: Kind::Subscription,
        at_start: false,
        function: 3,
        period_us: 0,
        name: "on_price",
        source: "feed.price",
    };
    const DONE: Event<'_> =
        Event { kind: Kind::Notification, at_start: false, function: 0, period_us: 0, name: "done", source: "" };
    const STOP: Event<'_> = Event { kind: Kind::Stop, name: "stop", source: "", ..PRICE };
    const DOG: Event<'_> = Event { kind: Kind::Watchdog, at_start: false, function: 0, name: "watchdog", ..TICK };

    fn check(events: &[Event<'_>]) -> Result<(), (usize, BadEvent)> {
        let bytes: [u8; 8192] = encode(events);
        Events::check(&bytes[..encoded_size(events)], 2..4)
    }

    #[test]
    fn reads_what_it_encoded() {
        let events = [TICK, PRICE, DONE, STOP, DOG];
        let bytes: [u8; encoded_size(&[TICK, PRICE, DONE, STOP, DOG])] = encode(&events);
        assert_eq!(Events::check(&bytes, 2..4), Ok(()));
        assert!(Events::new(&bytes).eq(events));
        assert!(Events::new(&bytes).handled().eq([TICK, PRICE, STOP, DOG]));
        assert!(Events::new(&bytes).published().eq([DONE]));
        assert_eq!(PRICE.source_parts(), Some(("feed", "price")));
        assert_eq!(Events::check(&[], 0..0), Ok(()));
    }

    #[test]
    fn rejects_what_is_cut_off() {
        let bytes: [u8; encoded_size(&[PRICE])] = encode(&[PRICE]);
        for length in 1..bytes.len() {
            assert_eq!(Events::check(&bytes[..length], 2..4), Err((1, BadEvent::CutOff)));
        }
    }

    #[test]
    fn rejects_each_wrong_field() {
        let one = |event: Event<'_>, what| assert_eq!(check(&[DONE, event]), Err((2, what)), "{event:?}");
        one(Event { source: "feed", ..PRICE }, BadEvent::Source);
        one(Event { source: "feed.", ..PRICE }, BadEvent::Source);
        one(Event { source: "Feed.price", ..PRICE }, BadEvent::Source);
        one(Event { source: "a.b.c", ..PRICE }, BadEvent::Source);
        one(Event { source: "", ..PRICE }, BadEvent::Source);
        one(Event { source: "feed.price", ..TICK }, BadEvent::Source);
        one(Event { source: "x", ..TICK }, BadEvent::Source);
        one(Event { at_start: true, ..PRICE }, BadEvent::Kind);
        one(Event { function: 4, ..TICK }, BadEvent::Function);
        one(Event { function: 1, ..STOP }, BadEvent::Function);
        one(Event { function: 1, ..DOG }, BadEvent::Function);
        one(Event { period_us: 0, ..DOG }, BadEvent::Period);
        one(Event { period_us: 1, ..PRICE }, BadEvent::Period);
        one(DONE, BadEvent::Twice);
        assert_eq!(check(&[STOP, Event { name: "again", ..STOP }]), Err((2, BadEvent::Count)));
        // The same name for what is handled and what is published is no confusion.
        assert_eq!(check(&[DONE, Event { name: "done", ..TICK }]), Ok(()));
    }

    #[test]
    fn rejects_each_wrong_byte() {
        let bytes: [u8; encoded_size(&[TICK])] = encode(&[TICK]);
        for (at, value, what) in [
            (0, 5, BadEvent::Kind),
            (1, 2, BadEvent::Kind),
            (6, 1, BadEvent::Kind),
            (7, 1, BadEvent::Kind),
            (HEADER_SIZE, b'T', BadEvent::Name),
            (HEADER_SIZE, b'1', BadEvent::Name),
            (HEADER_SIZE, 0xff, BadEvent::Name),
        ] {
            let mut bytes = bytes;
            bytes[at] = value;
            assert_eq!(Events::check(&bytes, 2..4), Err((1, what)), "{at}");
        }
    }

    #[test]
    fn rejects_one_too_many() {
        extern crate std;
        let names: std::vec::Vec<_> = (0..=MAX_EVENTS).map(|number| std::format!("t{number}")).collect();
        let timers: [Event<'_>; MAX_EVENTS + 1] = core::array::from_fn(|number| Event { name: &names[number], ..TICK });
        assert_eq!(check(&timers[..MAX_EVENTS]), Ok(()));
        assert_eq!(check(&timers), Err((MAX_EVENTS + 1, BadEvent::Count)));
    }
}
