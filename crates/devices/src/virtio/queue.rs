//! A split queue (2.7), which the kernel writes for a driver that has no access to it.
//!
//! Nothing is read back from the page but the device's own ring, and all of that is compared with what it was given: which
//! descriptors form a chain, and how many bytes it may write, is kept here.

use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};

use super::page::{Descriptor, QueuePage, UsedElement};
use super::shared::SharedPage;

/// The flags of descriptors (2.7.5).
const NEXT: u16 = 1;
const WRITE: u16 = 2;

/// The flag of a ring whose side wants to be told nothing (2.7.6, 2.7.8).
const SILENT: u16 = 1;

/// The end of a list.
const NIL: u16 = u16::MAX;

/// A part of a chain, as the device gets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The address, as the device has it.
    pub address: u64,
    /// The length, in bytes.
    pub length: u32,
    /// The number of the memory that it lies in.
    pub memory: u16,
    /// Whether the device writes it.
    pub is_written: bool,
}

/// A chain that the device is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// The driver's number of it.
    pub token: u16,
    /// The bytes that the device wrote.
    pub length: u32,
}

/// A device that broke the rules of a queue. Nothing more is taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The device says that it is done with more chains than it has; so does a ring that runs backwards.
    #[error("it is done with {found} chains of a queue, and has {given}")]
    TooMany {
        /// The number that it says.
        found: u16,
        /// The number that it has.
        given: u16,
    },
    /// The device says that it is done with a chain that it does not have.
    #[error("it is done with the chain {id} of a queue, which it does not have")]
    NotGiven {
        /// The number of the first descriptor.
        id: u32,
    },
    /// The device wrote more than there was room for.
    #[error("it wrote {found} bytes to a chain with room for {room}")]
    TooLong {
        /// The number that it says.
        found: u32,
        /// The room.
        room: u32,
    },
}

/// The kernel's own record of a descriptor.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The next descriptor of its chain, or of the free ones.
    next: u16,
    /// The memory that it names.
    memory: u16,
    /// For the first one of a chain that the device has: the driver's number, the room, and that it is one.
    token: u16,
    is_first: bool,
    room: u32,
}

/// A queue.
#[derive(Debug)]
pub struct Queue {
    page: &'static QueuePage,
    slots: Vec<Slot>,
    /// The first free descriptor, and their number.
    free: u16,
    free_count: u16,
    /// The number of chains that the device has.
    given: u16,
    /// The indices of both rings: the next that is written, and the next that is read.
    available: u16,
    used: u16,
}

impl Queue {
    /// Creates an empty queue of `size` descriptors, a power of two, in a page of zeros. `None` if there is no memory.
    #[must_use]
    pub fn new(page: &SharedPage<QueuePage>, size: u16) -> Option<Queue> {
        let mut slots = Vec::new();
        slots.try_reserve_exact(usize::from(size)).ok()?;
        let slot = |number| Slot { next: number + 1, memory: 0, token: 0, is_first: false, room: 0 };
        slots.extend((0..size).map(slot));
        slots.last_mut()?.next = NIL;
        Some(Queue { page: page.page(), slots, free: 0, free_count: size, given: 0, available: 0, used: 0 })
    }

    /// Returns the number of chains that the device has.
    #[must_use]
    pub const fn given(&self) -> u16 {
        self.given
    }

    /// Returns the number of free descriptors.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.free_count as usize
    }

    /// Says whether the device is to send an interrupt when it is done with something.
    pub fn set_interrupt(&self, wanted: bool) {
        self.page.available.flags.store(if wanted { 0 } else { SILENT }, Ordering::Relaxed);
    }

    /// Adds a chain, which the device does not see before [`publish`](Self::publish). Returns whether there was room.
    pub(crate) fn add(&mut self, chain: &[Piece], token: u16) -> bool {
        if chain.is_empty() || chain.len() > self.room() {
            return false;
        }
        let first = self.free;
        let (mut number, mut room) = (first, 0_u32);
        for (index, piece) in chain.iter().enumerate() {
            let (Some(slot), Some(descriptor)) = self.entry(number) else { return false };
            let is_last = index + 1 == chain.len();
            let next = slot.next;
            slot.memory = piece.memory;
            let flags = if is_last { 0 } else { NEXT } | if piece.is_written { WRITE } else { 0 };
            descriptor.address.store(piece.address, Ordering::Relaxed);
            descriptor.length.store(piece.length, Ordering::Relaxed);
            descriptor.flags.store(flags, Ordering::Relaxed);
            descriptor.next.store(if is_last { 0 } else { next }, Ordering::Relaxed);
            if piece.is_written {
                room = room.saturating_add(piece.length);
            }
            if is_last {
                slot.next = NIL;
                self.free = next;
            }
            number = next;
        }
        let Some(slot) = self.slots.get_mut(usize::from(first)) else { return false };
        (slot.token, slot.is_first, slot.room) = (token, true, room);
        self.free_count -= chain.len() as u16;
        self.given += 1;
        if let Some(place) = self.page.available.ring.get(self.place(self.available)) {
            place.store(first, Ordering::Relaxed);
        }
        self.available = self.available.wrapping_add(1);
        true
    }

    /// Shows the device what was added. Returns whether it wants to be notified.
    pub fn publish(&self) -> bool {
        // The device sees the chains before the index.
        self.page.available.index.store(self.available, Ordering::Release);
        // And the index before the flag is read (2.7.13.4.1).
        fence(Ordering::SeqCst);
        self.page.used.flags.load(Ordering::Relaxed) & SILENT == 0
    }

    /// Takes a chain back that the device is done with, if there is one; `release` gets the memory of each of its pieces.
    ///
    /// # Errors
    /// The device broke the rules. The queue is of no use any more.
    pub fn take(&mut self, mut release: impl FnMut(u16)) -> Result<Option<Done>, Broken> {
        // What the device wrote before the index is seen behind it.
        let found = self.page.used.index.load(Ordering::Acquire).wrapping_sub(self.used);
        if found == 0 {
            return Ok(None);
        }
        if found > self.given {
            return Err(Broken::TooMany { found, given: self.given });
        }
        let Some(UsedElement { id, length }) = self.page.used.ring.get(self.place(self.used)) else { return Ok(None) };
        // Each is read once.
        let (id, length) = (id.load(Ordering::Relaxed), length.load(Ordering::Relaxed));
        let chain = u16::try_from(id).ok().and_then(|first| Some((first, self.slots.get_mut(usize::from(first))?)));
        let (first, slot) = chain.filter(|(_, slot)| slot.is_first).ok_or(Broken::NotGiven { id })?;
        let Slot { token, room, .. } = *slot;
        if length > room {
            return Err(Broken::TooLong { found: length, room });
        }
        slot.is_first = false;
        let mut last = first;
        let mut count = 0;
        while let Some(slot) = self.slots.get(usize::from(last)) {
            release(slot.memory);
            count += 1;
            if slot.next == NIL {
                break;
            }
            last = slot.next;
        }
        if let Some(slot) = self.slots.get_mut(usize::from(last)) {
            slot.next = self.free;
        }
        self.free = first;
        self.free_count += count;
        self.given -= 1;
        self.used = self.used.wrapping_add(1);
        Ok(Some(Done { token, length }))
    }

    fn entry(&mut self, number: u16) -> (Option<&mut Slot>, Option<&'static Descriptor>) {
        let number = usize::from(number);
        (self.slots.get_mut(number), self.page.descriptors.get(number))
    }

    /// Returns the place of an index in a ring.
    fn place(&self, index: u16) -> usize {
        usize::from(index) & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virtio::testing::{Peer, page, shared};
    use proptest::prelude::*;

    const READ: Piece = Piece { address: 0x1000, length: 12, memory: 3, is_written: false };
    const WRITTEN: Piece = Piece { address: 0x5000, length: 100, memory: 4, is_written: true };

    fn queue(size: u16) -> (Queue, Peer) {
        let page = page();
        (Queue::new(&shared(page), size).unwrap(), Peer::new(page, size))
    }

    fn take(queue: &mut Queue) -> Result<Option<(Done, Vec<u16>)>, Broken> {
        let mut memories = Vec::new();
        let done = queue.take(|memory| memories.push(memory))?;
        Ok(done.map(|done| (done, memories)))
    }

    #[test]
    fn gives_chains_and_takes_them_back_in_any_order() {
        let (mut queue, mut peer) = queue(4);
        assert!(queue.add(&[READ, WRITTEN], 7));
        assert_eq!(peer.next(), None);
        assert!(queue.add(&[WRITTEN], 8));
        assert!(queue.publish());
        assert!(!queue.add(&[READ, READ], 9) && !queue.add(&[], 9));
        let (first, second) = (peer.next().unwrap(), peer.next().unwrap());
        assert_eq!(peer.chain(first), [(0x1000, 12, false), (0x5000, 100, true)]);
        assert_eq!(peer.chain(second), [(0x5000, 100, true)]);
        assert_eq!((peer.next(), take(&mut queue)), (None, Ok(None)));
        peer.give_back(second, 100);
        peer.give_back(first, 0);
        assert_eq!(take(&mut queue), Ok(Some((Done { token: 8, length: 100 }, [4].into()))));
        assert_eq!((queue.given(), queue.room()), (1, 2));
        assert_eq!(take(&mut queue), Ok(Some((Done { token: 7, length: 0 }, [3, 4].into()))));
        assert_eq!((take(&mut queue), queue.given(), queue.room()), (Ok(None), 0, 4));
    }

    #[test]
    fn goes_round_many_times() {
        let (mut queue, mut peer) = queue(8);
        for round in 0..100_000_u32 {
            let token = round as u16;
            assert!(queue.add(&[READ, WRITTEN, WRITTEN], token));
            queue.publish();
            let id = peer.next().unwrap();
            assert_eq!(peer.chain(id).len(), 3);
            peer.give_back(id, 200);
            assert_eq!(take(&mut queue).unwrap().unwrap().0, Done { token, length: 200 });
        }
    }

    #[test]
    fn believes_no_device_that_lies() {
        let given = |lie: &dyn Fn(&mut Peer)| {
            let (mut queue, mut peer) = queue(4);
            assert!(queue.add(&[READ, WRITTEN], 1) && queue.add(&[WRITTEN], 2));
            queue.publish();
            lie(&mut peer);
            take(&mut queue)
        };
        // The second descriptor of a chain, a free one, and one that is none.
        for id in [1, 3, 4, 0x1_0000, u32::MAX] {
            assert_eq!(given(&|peer| peer.give_back(id, 0)), Err(Broken::NotGiven { id }));
        }
        assert_eq!(given(&|peer| peer.give_back(0, 101)), Err(Broken::TooLong { found: 101, room: 100 }));
        assert_eq!(given(&|peer| peer.set_index(3)), Err(Broken::TooMany { found: 3, given: 2 }));
        assert_eq!(given(&|peer| peer.set_index(u16::MAX)), Err(Broken::TooMany { found: u16::MAX, given: 2 }));
    }

    #[test]
    fn takes_no_chain_twice() {
        let (mut queue, mut peer) = queue(4);
        assert!(queue.add(&[WRITTEN], 1) && queue.add(&[WRITTEN], 2));
        queue.publish();
        peer.give_back(0, 5);
        peer.give_back(0, 5);
        assert_eq!(take(&mut queue).unwrap().unwrap().0, Done { token: 1, length: 5 });
        assert_eq!(take(&mut queue), Err(Broken::NotGiven { id: 0 }));
    }

    #[test]
    fn follows_no_chain_that_the_device_wrote() {
        let (mut queue, mut peer) = queue(4);
        assert!(queue.add(&[READ, WRITTEN], 1));
        queue.publish();
        peer.scribble();
        peer.give_back(0, 100);
        assert_eq!(take(&mut queue), Ok(Some((Done { token: 1, length: 100 }, [3, 4].into()))));
        assert_eq!(queue.room(), 4);
    }

    #[test]
    fn says_who_wants_to_be_told() {
        let (queue, peer) = queue(2);
        queue.set_interrupt(false);
        assert!(!peer.wants_interrupts());
        queue.set_interrupt(true);
        assert!(peer.wants_interrupts());
        peer.want_no_notifications();
        assert!(!queue.publish());
    }

    proptest! {
        #[test]
        fn loses_no_descriptor_whatever_the_device_says(
            steps in prop::collection::vec((1_usize..5, any::<bool>(), 0_u32..20, 0_u32..500, any::<u16>()), 1..200)
        ) {
            let (mut queue, mut peer) = queue(16);
            for (pieces, is_sane, id, length, index) in steps {
                queue.add(&[WRITTEN; 4][..pieces.min(4)], id as u16);
                queue.publish();
                match (is_sane, peer.next()) {
                    (true, Some(own)) => peer.give_back(own, length.min(100)),
                    (true, None) => {}
                    (false, _) if length < 400 => peer.give_back(id, length),
                    (false, _) => peer.set_index(index),
                }
                let mut released = 0;
                let before = queue.room();
                match queue.take(|_| released += 1) {
                    Ok(_) => prop_assert_eq!(queue.room(), before + released),
                    Err(_) => {
                        prop_assert_eq!((queue.room(), released), (before, 0));
                        break;
                    }
                }
                prop_assert!(queue.room() + usize::from(queue.given()) <= 16);
            }
        }
    }
}
