//! Reads and checks encoded events.

use crate::devices::MAX_DEVICES;

use super::{Event, FLAG_AT_START, HEADER_SIZE, Kind, MAX_EVENTS};
use super::{is_event_name, is_published_by_loader, is_source};

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
    DuplicateName,
    /// The loader itself publishes notifications of that name for each module.
    LoadersName,
    /// There is a function that can't be, or none that is a plain one.
    Function,
    /// There is a period that can't be, or a watchdog has none.
    Period,
    /// There are more than [`MAX_EVENTS`], or a second stop or watchdog.
    TooMany,
    /// The module declares no device of the interrupt's number, or that has another event.
    Device,
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
            BadEvent::DuplicateName => "its name is there twice",
            BadEvent::LoadersName => "the loader publishes that name for each module; take another",
            BadEvent::Function => "no function of the module's handles it",
            BadEvent::Period => "it has no period that it can have",
            BadEvent::TooMany => "it is one too many",
            BadEvent::Device => {
                "it is the interrupt of a device that the module does not declare, or that has another event"
            }
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
                return wrong(BadEvent::TooMany);
            }
            let publishes = |other: &Event<'_>| other.kind == Kind::Notification;
            if earlier.any(|other| other.name == event.name && publishes(&other) == publishes(&event)) {
                return wrong(BadEvent::DuplicateName);
            }
            if publishes(&event) && is_published_by_loader(event.name) {
                return wrong(BadEvent::LoadersName);
            }
            if event.kind.has_handler() && !functions.contains(&event.function.into()) {
                return wrong(BadEvent::Function);
            }
        }
        Ok(())
    }

    /// Checks a valid record of a module that declares `devices`: each interrupt is one's, and each has one event.
    ///
    /// # Errors
    /// As of [`check`](Self::check).
    pub fn check_devices(bytes: &'bytes [u8], devices: usize) -> Result<(), (usize, BadEvent)> {
        let mut seen = 0_u64;
        for (event, number) in Events(bytes).zip(1..) {
            let Some(device) = event.device() else { continue };
            let bit = 1_u64.checked_shl(device).filter(|bit| (device as usize) < devices && seen & bit == 0);
            seen |= bit.ok_or((number, BadEvent::Device))?;
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
        let has_number = kind.is_timed() || kind == Kind::Interrupt && period_us < MAX_DEVICES as u64;
        if period_us != 0 && !has_number || period_us == 0 && kind == Kind::Watchdog {
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
