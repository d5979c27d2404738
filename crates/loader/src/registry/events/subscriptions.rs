//! The subscriptions of all modules.

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;

use crate::module::interfaces::SlotNumber;
use crate::name::Name;

/// A notification: the module that publishes it, and its name.
type Source = (Name, Name);

/// An event that is due when a notification is published.
#[derive(Clone, Copy, Debug)]
struct Subscription {
    source: Source,
    slot: SlotNumber,
    event: u8,
}

/// The subscriptions, in the order of their sources.
pub(super) struct Subscriptions<A: Allocator>(Vec<Subscription, A>);

impl<A: Allocator> Subscriptions<A> {
    pub const fn new(allocator: A) -> Subscriptions<A> {
        Subscriptions(Vec::new_in(allocator))
    }

    /// Makes room for so many more; `None` if there is no memory.
    pub fn reserve(&mut self, count: usize) -> Option<()> {
        self.0.try_reserve(count).ok()
    }

    /// Adds a subscription, for which there is room.
    pub fn add(&mut self, source: Source, slot: SlotNumber, event: u8) {
        let place = self.0.partition_point(|other| other.source <= source);
        self.0.insert(place, Subscription { source, slot, event });
    }

    /// Removes all subscriptions of a slot.
    pub fn remove(&mut self, slot: SlotNumber) {
        self.0.retain(|subscription| subscription.slot != slot);
    }

    /// Iterates over the subscriptions to a notification: the slots and the events.
    pub fn of(&self, source: Source) -> impl Iterator<Item = (SlotNumber, u8)> {
        let first = self.0.partition_point(|subscription| subscription.source < source);
        let all = self.0.get(first..).unwrap_or_default().iter();
        all.take_while(move |subscription| subscription.source == source)
            .map(|subscription| (subscription.slot, subscription.event))
    }
}
