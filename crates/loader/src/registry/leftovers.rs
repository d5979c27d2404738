//! The completions that no driver collected of devices that were closed, until the next driver asks for them.

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;
use bareflow_abi::Out;
use bareflow_device::{Completion, MAX_LEFTOVERS};

/// A chain of buffers that a device was done with.
pub(crate) struct Leftover {
    /// The device's number at the embedder.
    pub device: u32,
    pub queue: u32,
    /// The region in which the chain ends.
    pub region: u32,
    pub done: Completion,
}

/// All of them, in the order of their devices' queues.
pub(crate) struct Leftovers<A: Allocator>(Vec<Leftover, A>);

impl<A: Allocator> Leftovers<A> {
    /// Creates an empty list.
    pub const fn new_in(allocator: A) -> Leftovers<A> {
        Leftovers(Vec::new_in(allocator))
    }

    /// Makes room for those of one device more than `devices`; `None` if there is no memory.
    pub fn reserve(&mut self, devices: usize) -> Option<()> {
        let all = (devices + 1) * MAX_LEFTOVERS;
        self.0.try_reserve(all.saturating_sub(self.0.len())).ok()
    }

    /// Adds one, in place of the oldest of its device if that has as many as are kept.
    pub fn add(&mut self, leftover: Leftover) {
        let is_its = |other: &Leftover| other.device == leftover.device;
        if self.0.iter().filter(|other| is_its(other)).count() == MAX_LEFTOVERS
            && let Some(oldest) = self.0.iter().position(is_its)
        {
            self.0.remove(oldest);
        }
        if self.0.len() < self.0.capacity() {
            self.0.push(leftover);
        }
    }

    /// Moves those of a device's queue that end in one of these regions to `into`, as far as there is room.
    pub fn take(&mut self, device: u32, queue: u32, regions: &[u32], into: &mut Out<'_, Completion>) {
        self.0.retain(|one| {
            let is_wanted = one.device == device && one.queue == queue && regions.contains(&one.region);
            !is_wanted || !into.push(one.done)
        });
    }

    /// Forgets those of a device that end in one of these regions, which it used since.
    pub fn forget(&mut self, device: u32, regions: &[u32]) {
        self.0.retain(|one| one.device != device || !regions.contains(&one.region));
    }

    /// Forgets those that end in regions which no one wants any more.
    pub fn keep_in(&mut self, is_wanted: impl Fn(u32) -> bool) {
        self.0.retain(|one| is_wanted(one.region));
    }

    /// Returns how many there are.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Forgets those of devices that no module has.
    pub fn keep_of(&mut self, has_driver: impl Fn(u32) -> bool) {
        self.0.retain(|one| has_driver(one.device));
    }
}
