//! The interface `events`: timers and notifications of the module that calls it.
//!
//! The loader itself provides it, under the name `loader`. The events and notifications are those that the module
//! declares by `module!(timers = .., subscriptions = .., notifications = ..)`, known by their numbers. All times are
//! in microseconds of the embedder's clock, which may be coarse: a kernel's is counted in ticks of a millisecond. A
//! module can't change its own watchdog.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::task::EventClient;
use bareflow_abi::{CallError, Failure, interface};

/// The module's own events.
#[interface(version = "1.0")]
pub trait Events {
    /// Makes the timer `event` due once, `microseconds` from now; 0 is as soon as possible, after what is due already.
    ///
    /// A timer has one time: a later call takes the place of an earlier one.
    ///
    /// # Errors
    /// [`EventError::NoSuchEvent`] if it is no timer of the module's.
    fn after(&mut self, event: u32, microseconds: u64) -> Result<(), EventError>;

    /// Makes the timer `event` due each time that `microseconds` have passed, from now on.
    ///
    /// What was missed, because the module was busy or the machine late, is not made up for: it is due once, and then at
    /// the next whole multiple.
    ///
    /// # Errors
    /// [`EventError::NoSuchEvent`] if it is no timer of the module's, [`EventError::BadInterval`] for 0.
    fn every(&mut self, event: u32, microseconds: u64) -> Result<(), EventError>;

    /// Stops the timer `event`, and forgets that an event of any kind is due. Returns whether there was anything to stop.
    ///
    /// # Errors
    /// [`EventError::NoSuchEvent`] if it is no event of the module's, or its watchdog.
    fn cancel(&mut self, event: u32) -> Result<bool, EventError>;

    /// Publishes a notification: each subscriber is called once, however often this is called before it is. Returns the
    /// number of subscribers.
    ///
    /// # Errors
    /// [`EventError::NoSuchEvent`] if the module publishes none of this number.
    fn notify(&mut self, notification: u32) -> Result<u32, EventError>;

    /// Returns the microseconds since some point in the past.
    ///
    /// # Errors
    /// Only [`EventError::Call`], as all of them may fail.
    fn now(&mut self) -> Result<u64, EventError>;
}

/// An error of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Failure)]
pub enum EventError {
    /// The module has no timer, event or notification of this number.
    NoSuchEvent,
    /// The interval is 0.
    BadInterval,
    /// The call gave no answer.
    #[call_error]
    Call(CallError),
}

impl EventClient for EventsClient<'_> {
    type Error = EventError;

    #[inline]
    fn after(&mut self, event: u32, microseconds: u64) -> Result<(), EventError> {
        Events::after(self, event, microseconds)
    }

    #[inline]
    fn notify(&mut self, notification: u32) -> Result<u32, EventError> {
        Events::notify(self, notification)
    }

    #[inline]
    fn now(&mut self) -> Result<u64, EventError> {
        Events::now(self)
    }
}
