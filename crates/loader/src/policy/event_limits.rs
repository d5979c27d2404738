//! The limits of handlers.

/// The limits on the time of an event's handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventLimits {
    /// The time of the handler's own code, in microseconds. One that takes longer is ended.
    pub own_us: u32,
    /// The time with all that it calls, in microseconds. It ends once what it calls then has returned, since a callee does
    /// not end for its caller's time.
    pub total_us: u32,
}

impl EventLimits {
    /// The limits of all handlers.
    pub const DEFAULT: EventLimits = EventLimits { own_us: 5_000, total_us: 20_000 };
}
