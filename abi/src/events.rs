//! The events of a module: its timers, what it subscribes to and what it publishes, as a record of its blob.
//!
//! [`module!`](crate::module) encodes them, the packer makes them a record, and the loader reads them. An entry is a
//! [header](HEADER_SIZE), the event's name, and the source of a subscription. Since ABI 1.4.

mod encode;
mod names;
mod read;
#[cfg(test)]
mod tests;

pub use encode::{encode, encoded_size};
pub use names::{FAULTED, MAX_EVENT_NAME, RESTARTED, STOPPED, is_event_name, is_published_by_loader, is_source};
pub use read::{BadEvent, Events};

/// The section of a module's events; the packer makes a record of it and drops it.
pub const EVENTS_SECTION: &str = ".bareflow.events";

/// The maximum number of events that a module handles, and of notifications that it publishes: a word has a bit for
/// each.
pub const MAX_EVENTS: usize = 64;

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
    /// A timer that starts anew after each handler; when it is due, that is a fault of the module.
    Watchdog = 4,
    /// An interrupt of a device that the module drives. Since ABI 1.6.
    Interrupt = 5,
}

impl Kind {
    const fn from_number(number: u8) -> Option<Kind> {
        Some(match number {
            0 => Kind::Timer,
            1 => Kind::Subscription,
            2 => Kind::Notification,
            3 => Kind::Stop,
            4 => Kind::Watchdog,
            5 => Kind::Interrupt,
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
            Kind::Interrupt => "interrupt",
        }
    }

    /// Returns whether a function handles it.
    #[must_use]
    pub const fn has_handler(self) -> bool {
        matches!(self, Kind::Timer | Kind::Subscription | Kind::Stop | Kind::Interrupt)
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
    /// The number of the plain function that handles it, counted from 0; 0 as well if the [kind](Kind::has_handler) has none.
    pub function: u16,
    /// The period of a timer, in microseconds, or 0 if only the module starts it; the time of a watchdog; the number of an
    /// interrupt's device.
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

    /// Returns the number of the device whose interrupts it is for, if it is for interrupts.
    #[must_use]
    pub const fn device(&self) -> Option<u32> {
        match self.kind {
            Kind::Interrupt => Some(self.period_us as u32),
            _ => None,
        }
    }

    /// Returns the module and the notification that a subscription is for.
    #[must_use]
    pub fn source_parts(&self) -> Option<(&str, &str)> {
        self.source.split_once('.')
    }
}
