//! The things that the server has at hand while it handles an event.

use crate::Counts;
use crate::request::{Request, Resource};
use crate::stored::Room;

/// The interfaces, the time and the room.
pub struct Surroundings<'event, T, R, S> {
    pub tcp: &'event mut T,
    pub report: &'event R,
    pub store: &'event mut S,
    /// The time of the event, in microseconds.
    pub now_us: u64,
    /// A name of this machine; see the settings.
    pub own_name: &'event str,
    /// Room for what is read from the store.
    pub room: &'event mut Room,
    /// The steps that are left at this event, each of which receives once, sends once or makes a piece: it has 5 ms.
    pub steps: u32,
    /// Whether the store may be read at this event: it is once, since that takes long.
    pub store_is_free: bool,
    pub counts: &'event mut Counts,
}

impl<T, R, S> Surroundings<'_, T, R, S> {
    /// Returns whether a request can be answered at this event.
    pub fn may_read(&self, request: &Request) -> bool {
        self.store_is_free || !matches!(request.wanted, Ok(Resource::Keys | Resource::Value(_)))
    }

    /// Takes a step. Returns whether there was one left.
    pub fn take_step(&mut self) -> bool {
        let has_one = self.steps > 0;
        self.steps = self.steps.saturating_sub(1);
        has_one
    }

    /// Takes the store for the rest of the event. Returns whether it was free.
    pub fn take_store(&mut self) -> bool {
        core::mem::replace(&mut self.store_is_free, false)
    }
}
