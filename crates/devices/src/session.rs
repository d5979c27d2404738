//! The part of an open device that is its driver's: the memory that it may use, and the buffers in its queues.

use bareflow_device::{Buffer, Completion, DeviceError, MAX_MEMORIES};

use crate::virtio::{Broken, DevicePages, Done, Piece, Queue};

/// The size of a page, in bytes.
const PAGE_SIZE: u64 = 4096;

/// The most queues of a device.
pub const MAX_QUEUES: usize = 8;

/// The most buffers of a chain.
const MAX_CHAIN: usize = 16;

/// Memory that a device may use.
#[derive(Debug)]
struct Memory {
    pages: DevicePages,
    /// The number of buffers in it that the device has.
    in_use: u32,
}

/// A queue, and the place of its notifications.
#[derive(Debug)]
struct OpenQueue {
    number: u16,
    queue: Queue,
    notify: u64,
}

/// The memory and the buffers that a device has of its driver.
#[derive(Debug, Default)]
pub struct Session {
    memories: [Option<Memory>; MAX_MEMORIES],
    queues: [Option<OpenQueue>; MAX_QUEUES],
    broken: Option<Broken>,
}

/// The outcome of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The number of buffers that the device has now.
    pub taken: u32,
    /// The place at which the device is to be notified, if it wants to be.
    pub notify: Option<u64>,
    /// The error of the buffer behind them.
    pub error: Option<DeviceError>,
}

impl Session {
    /// Returns how the device broke the rules, if it did. It gets nothing more.
    #[must_use]
    pub const fn broken(&self) -> Option<Broken> {
        self.broken
    }

    /// Checks that there is room for memory with this number.
    ///
    /// # Errors
    /// There is no such number, or it is in use.
    pub fn check_memory(&self, number: u32) -> Result<(), DeviceError> {
        match self.memories.get(number as usize) {
            Some(None) => Ok(()),
            _ => Err(DeviceError::TooMany),
        }
    }

    /// Adds memory with a number.
    ///
    /// # Errors
    /// As of [`check_memory`](Self::check_memory).
    pub fn attach(&mut self, number: u32, pages: DevicePages) -> Result<(), DeviceError> {
        self.check_memory(number)?;
        let place = self.memories.get_mut(number as usize).ok_or(DeviceError::TooMany)?;
        *place = Some(Memory { pages, in_use: 0 });
        Ok(())
    }

    /// Returns the addresses of memory in which the device has no buffers.
    ///
    /// # Errors
    /// It has some, or there is no such memory.
    pub fn unused(&self, number: u32) -> Result<&[u64], DeviceError> {
        match self.memories.get(number as usize) {
            None | Some(None) => Err(DeviceError::NoSuchMemory),
            // What a device does that breaks the rules is not known.
            Some(Some(memory)) if memory.in_use > 0 || self.broken.is_some() => Err(DeviceError::InUse),
            Some(Some(memory)) => Ok(memory.pages.addresses()),
        }
    }

    /// Removes memory in which the device has no buffers.
    ///
    /// # Errors
    /// As above.
    pub fn detach(&mut self, number: u32) -> Result<(), DeviceError> {
        self.unused(number)?;
        if let Some(place) = self.memories.get_mut(number as usize) {
            *place = None;
        }
        Ok(())
    }

    /// Passes the addresses of the first bytes of buffers to `put`. Each holds for the whole buffer.
    ///
    /// # Errors
    /// The first buffer's that does not lie in its memory, in one page or in pages in a row.
    pub fn addresses(&self, buffers: &[Buffer], mut put: impl FnMut(u64)) -> Result<(), DeviceError> {
        buffers.iter().try_for_each(|buffer| locate(&self.memories, buffer).map(|piece| put(piece.address)))
    }

    /// Checks that there is room for a queue with this number.
    ///
    /// # Errors
    /// There are too many, or there is one of this number.
    pub fn check_queue(&self, number: u16) -> Result<(), DeviceError> {
        if self.queues.iter().flatten().any(|queue| queue.number == number) {
            return Err(DeviceError::NoSuchQueue);
        }
        self.queues.iter().any(Option::is_none).then_some(()).ok_or(DeviceError::TooMany)
    }

    /// Adds a queue with its number, and the place of its notifications.
    ///
    /// # Errors
    /// As of [`check_queue`](Self::check_queue).
    pub fn add_queue(&mut self, number: u16, queue: Queue, notify: u64) -> Result<(), DeviceError> {
        self.check_queue(number)?;
        let place = self.queues.iter_mut().find(|place| place.is_none()).ok_or(DeviceError::TooMany)?;
        *place = Some(OpenQueue { number, queue, notify });
        Ok(())
    }

    /// Iterates over the queues in which the device has something, by number and place of notifications: those that it is to be
    /// told of when it starts.
    pub fn in_flight(&self) -> impl Iterator<Item = (u16, u64)> {
        let queues = self.queues.iter().flatten().filter(|queue| queue.queue.given() > 0);
        queues.map(|queue| (queue.number, queue.notify))
    }

    /// Says whether a queue's completions are to send interrupts.
    ///
    /// # Errors
    /// There is no such queue.
    pub fn set_interrupt(&mut self, queue: u32, wanted: bool) -> Result<(), DeviceError> {
        self.queue(queue)?.queue.set_interrupt(wanted);
        Ok(())
    }

    /// Gives buffers to the device: whole chains, as long as there is room.
    ///
    /// # Errors
    /// There is no such queue, or the device broke the rules.
    pub fn submit(&mut self, queue: u32, buffers: &[Buffer]) -> Result<Submitted, DeviceError> {
        if self.broken.is_some() {
            return Err(DeviceError::Broken);
        }
        let Session { memories, queues, .. } = self;
        let OpenQueue { queue, notify, .. } = find(queues, queue)?;
        let (mut taken, mut error) = (0, None);
        while let Some(chain) = buffers.get(taken..).filter(|rest| !rest.is_empty()) {
            match add_chain(memories, queue, chain) {
                Ok(0) => break,
                Ok(count) => taken += count,
                Err(why) => {
                    error = Some(why);
                    break;
                }
            }
        }
        let wants = taken > 0 && queue.publish();
        Ok(Submitted { taken: taken as u32, notify: wants.then_some(*notify), error })
    }

    /// Passes up to `room` chains that the device is done with to `put`. Returns the number of those that it still has.
    ///
    /// # Errors
    /// There is no such queue, or the device broke the rules, now or before.
    pub fn collect(&mut self, queue: u32, room: usize, mut put: impl FnMut(Completion)) -> Result<u32, DeviceError> {
        if self.broken.is_some() {
            return Err(DeviceError::Broken);
        }
        let Session { memories, queues, broken } = self;
        let OpenQueue { queue, .. } = find(queues, queue)?;
        let mut release = |memory: u16| {
            if let Some(memory) = memories.get_mut(usize::from(memory)).and_then(Option::as_mut) {
                memory.in_use = memory.in_use.saturating_sub(1);
            }
        };
        for _ in 0..room {
            match queue.take(&mut release) {
                Ok(Some(done)) => put(Completion { token: done.token, reserved: 0, length: done.length }),
                Ok(None) => break,
                Err(why) => {
                    *broken = Some(why);
                    return Err(DeviceError::Broken);
                }
            }
        }
        Ok(queue.given().into())
    }

    /// Passes all that a device which was stopped is done with to `put`: the queue, the memory in which the chain ends, and the
    /// completion. From one that broke the rules nothing is taken.
    pub fn drain(&mut self, mut put: impl FnMut(u32, u32, Completion)) {
        let Session { queues, broken, .. } = self;
        for OpenQueue { number, queue, .. } in queues.iter_mut().flatten() {
            while broken.is_none() {
                let mut last = 0;
                match queue.take(|memory| last = memory) {
                    Ok(Some(Done { token, length })) => {
                        put((*number).into(), last.into(), Completion { token, reserved: 0, length });
                    }
                    Ok(None) => break,
                    Err(why) => *broken = Some(why),
                }
            }
        }
    }

    fn queue(&mut self, number: u32) -> Result<&mut OpenQueue, DeviceError> {
        find(&mut self.queues, number)
    }
}

fn find(queues: &mut [Option<OpenQueue>], number: u32) -> Result<&mut OpenQueue, DeviceError> {
    queues.iter_mut().flatten().find(|queue| u32::from(queue.number) == number).ok_or(DeviceError::NoSuchQueue)
}

/// Adds the chain at the beginning of `buffers`. Returns the number of its buffers; 0 if there is no room for it now.
fn add_chain(memories: &mut [Option<Memory>], queue: &mut Queue, buffers: &[Buffer]) -> Result<usize, DeviceError> {
    let mut pieces = [Piece::default(); MAX_CHAIN];
    let (mut count, mut was_written) = (0, false);
    for (buffer, piece) in buffers.iter().zip(&mut pieces) {
        *piece = locate(memories, buffer)?;
        // The device writes behind what it reads (2.7.4.2).
        if was_written && !piece.is_written || buffer.flags & !(Buffer::WRITE | Buffer::NEXT) != 0 {
            return Err(DeviceError::BadChain);
        }
        was_written = piece.is_written;
        count += 1;
        if buffer.flags & Buffer::NEXT == 0 {
            let chain = &pieces[..count];
            if !queue.add(chain, buffers[0].token) {
                return Ok(0);
            }
            for piece in chain {
                if let Some(memory) = memories.get_mut(usize::from(piece.memory)).and_then(Option::as_mut) {
                    memory.in_use += 1;
                }
            }
            return Ok(count);
        }
    }
    Err(DeviceError::BadChain)
}

/// Finds the bytes of a buffer, which lie in one page, or in pages in a row.
fn locate(memories: &[Option<Memory>], buffer: &Buffer) -> Result<Piece, DeviceError> {
    let Buffer { memory: number, offset, length, flags, .. } = *buffer;
    let memory = memories.get(number as usize).and_then(Option::as_ref).ok_or(DeviceError::NoSuchMemory)?;
    if length == 0 {
        return Err(DeviceError::BadChain);
    }
    let (first, last) = (u64::from(offset), u64::from(offset) + u64::from(length) - 1);
    let (page, last_page) = ((first / PAGE_SIZE) as usize, (last / PAGE_SIZE) as usize);
    let pages = memory.pages.addresses().get(page..=last_page).ok_or(DeviceError::OutOfRange)?;
    if pages.windows(2).any(|two| two[0] + PAGE_SIZE != two[1]) {
        return Err(DeviceError::CrossesPages);
    }
    let start = pages.first().ok_or(DeviceError::OutOfRange)?;
    let is_written = flags & Buffer::WRITE != 0;
    Ok(Piece { address: start + first % PAGE_SIZE, length, memory: number as u16, is_written })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virtio::testing::{Peer, page, shared};
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const READ: Buffer = Buffer { memory: 0, offset: 0, length: 64, token: 1, flags: 0 };
    const WRITE: Buffer = Buffer { memory: 1, offset: 4000, length: 96, token: 2, flags: Buffer::WRITE };

    fn pages(addresses: &[u64]) -> DevicePages {
        // SAFETY: there is no device.
        unsafe { DevicePages::new(addresses.to_vec()) }
    }

    /// A session with two memories, the second of pages in a row and one elsewhere, and a queue of four.
    fn session() -> (Session, Peer) {
        let page = page();
        let mut session = Session::default();
        session.attach(0, pages(&[0x8000])).unwrap();
        session.attach(1, pages(&[0x1_0000, 0x1_1000, 0x5_0000])).unwrap();
        session.add_queue(1, Queue::new(&shared(page), 4).unwrap(), 0x20).unwrap();
        (session, Peer::new(page, 4))
    }

    fn collect(session: &mut Session) -> Result<(u32, Vec<Completion>), DeviceError> {
        let mut done = Vec::new();
        session.collect(1, 8, |one| done.push(one)).map(|left| (left, done))
    }

    #[test]
    fn gives_addresses_of_the_memory_and_no_others() {
        let (mut session, mut peer) = session();
        let chain = [Buffer { flags: Buffer::NEXT, ..READ }, WRITE];
        let all = Submitted { taken: 2, notify: Some(0x20), error: None };
        assert_eq!(session.submit(1, &chain), Ok(all));
        let id = peer.next().unwrap();
        assert_eq!(peer.chain(id), [(0x8000, 64, false), (0x1_0000 + 4000, 96, true)]);
        // Two pages in a row, all of what is there, and each way to be outside.
        let one = |buffer: Buffer| session_with(&[buffer]);
        assert_eq!(one(Buffer { offset: 4000, length: 97, ..WRITE }), (1, None));
        assert_eq!(one(Buffer { offset: 8191, length: 2, ..WRITE }), (0, Some(DeviceError::CrossesPages)));
        assert_eq!(one(Buffer { offset: 8192, length: 4096, ..WRITE }), (1, None));
        for (offset, length) in [(8192, 4097), (12288, 1), (u32::MAX, 1), (u32::MAX, u32::MAX), (0, u32::MAX)] {
            assert_eq!(
                one(Buffer { offset, length, ..WRITE }),
                (0, Some(DeviceError::OutOfRange)),
                "{offset} {length}"
            );
        }
        for memory in [2, 15, 16, u32::MAX] {
            assert_eq!(one(Buffer { memory, ..READ }), (0, Some(DeviceError::NoSuchMemory)));
        }
        assert_eq!(one(Buffer { length: 0, ..READ }), (0, Some(DeviceError::BadChain)));
        assert_eq!(one(Buffer { flags: Buffer::NEXT, ..READ }), (0, Some(DeviceError::BadChain)));
        assert_eq!(one(Buffer { flags: 4, ..READ }), (0, Some(DeviceError::BadChain)));
        let backwards = [Buffer { flags: Buffer::NEXT | Buffer::WRITE, ..WRITE }, READ];
        assert_eq!(session_with(&backwards), (0, Some(DeviceError::BadChain)));
        assert_eq!(session_with(&[Buffer { flags: Buffer::NEXT, ..READ }; 40]), (0, Some(DeviceError::BadChain)));
    }

    fn session_with(buffers: &[Buffer]) -> (u32, Option<DeviceError>) {
        let (mut session, _) = session();
        let Submitted { taken, error, .. } = session.submit(1, buffers).unwrap();
        (taken, error)
    }

    #[test]
    fn takes_what_there_is_room_for() {
        let (mut session, mut peer) = session();
        let submitted = session.submit(1, &[READ; 6]).unwrap();
        assert_eq!(submitted, Submitted { taken: 4, notify: Some(0x20), error: None });
        assert_eq!(session.submit(1, &[READ]), Ok(Submitted { taken: 0, notify: None, error: None }));
        // What comes before one that is wrong is the device's.
        let id = peer.next().unwrap();
        peer.give_back(id, 0);
        assert_eq!(collect(&mut session).unwrap().0, 3);
        let submitted = session.submit(1, &[READ, Buffer { length: 0, ..READ }]).unwrap();
        assert_eq!(submitted, Submitted { taken: 1, notify: Some(0x20), error: Some(DeviceError::BadChain) });
        assert_eq!(session.submit(0, &[READ]), Err(DeviceError::NoSuchQueue));
        assert_eq!(session.collect(7, 1, |_| ()), Err(DeviceError::NoSuchQueue));
    }

    #[test]
    fn keeps_memory_that_the_device_uses() {
        let (mut session, mut peer) = session();
        session.submit(1, &[WRITE]).unwrap();
        assert_eq!(session.detach(1), Err(DeviceError::InUse));
        assert_eq!((session.detach(0), session.detach(0)), (Ok(()), Err(DeviceError::NoSuchMemory)));
        assert_eq!(session.detach(99), Err(DeviceError::NoSuchMemory));
        let id = peer.next().unwrap();
        peer.give_back(id, 60);
        assert_eq!(collect(&mut session), Ok((0, vec![Completion { token: 2, reserved: 0, length: 60 }])));
        assert_eq!(session.detach(1), Ok(()));
    }

    #[test]
    fn says_what_a_stopped_device_was_done_with() {
        let drained = |session: &mut Session| {
            let mut all = Vec::new();
            session.drain(|queue, memory, done| all.push((queue, memory, done.token, done.length)));
            all
        };
        let (mut session, mut peer) = session();
        session.submit(1, &[Buffer { flags: Buffer::NEXT, ..READ }, WRITE, READ]).unwrap();
        let ids = [peer.next().unwrap(), peer.next().unwrap()];
        assert_eq!(drained(&mut session), []);
        peer.give_back(ids[1], 0);
        peer.give_back(ids[0], 60);
        assert_eq!(drained(&mut session), [(1, 0, 1, 0), (1, 1, 1, 60)]);
        assert_eq!(drained(&mut session), []);
        session.submit(1, &[WRITE, READ]).unwrap();
        let id = peer.next().unwrap();
        peer.give_back(id, 90);
        peer.give_back(id, 90);
        // What it is done with before it breaks the rules is right.
        assert_eq!((drained(&mut session), session.broken().is_some()), (vec![(1, 1, 2, 90)], true));
        assert_eq!(drained(&mut session), []);
    }

    #[test]
    fn rejects_numbers_that_are_taken_or_that_there_are_not() {
        let (mut session, _) = session();
        for number in [0, 1, MAX_MEMORIES as u32, u32::MAX] {
            assert_eq!(session.attach(number, pages(&[0x8000])), Err(DeviceError::TooMany), "{number}");
        }
        assert!((2..MAX_MEMORIES as u32).all(|number| session.attach(number, pages(&[0x8000])).is_ok()));
        let mut add = |number| session.add_queue(number, Queue::new(&shared(page()), 4).unwrap(), 0);
        assert_eq!(add(1), Err(DeviceError::NoSuchQueue));
        assert!((2..=MAX_QUEUES as u16).all(|number| add(number).is_ok()));
        assert_eq!(add(9), Err(DeviceError::TooMany));
    }

    #[test]
    fn knows_what_a_device_is_to_be_told_of_when_it_starts() {
        let (mut session, mut peer) = session();
        session.add_queue(3, Queue::new(&shared(page()), 4).unwrap(), 0x24).unwrap();
        assert_eq!(session.in_flight().count(), 0);
        session.submit(1, &[READ]).unwrap();
        assert_eq!(session.in_flight().collect::<Vec<_>>(), [(1, 0x20)]);
        let id = peer.next().unwrap();
        peer.give_back(id, 0);
        collect(&mut session).unwrap();
        assert_eq!(session.in_flight().count(), 0);
    }

    #[test]
    fn stops_with_a_device_that_breaks_the_rules() {
        let (mut session, mut peer) = session();
        session.submit(1, &[WRITE, WRITE]).unwrap();
        peer.give_back(3, 0);
        assert_eq!(collect(&mut session), Err(DeviceError::Broken));
        assert_eq!(session.broken(), Some(Broken::NotGiven { id: 3 }));
        assert_eq!(collect(&mut session), Err(DeviceError::Broken));
        assert_eq!(session.submit(1, &[READ]), Err(DeviceError::Broken));
        assert_eq!(session.detach(0), Err(DeviceError::InUse));
    }

    proptest! {
        #[test]
        fn gives_nothing_outside_of_the_memory(
            buffers in prop::collection::vec((0_u32..4, any::<u32>(), any::<u32>(), 0_u16..8, any::<bool>()), 0..8)
        ) {
            let (mut session, mut peer) = session();
            let narrow = |value: u32, is_narrow: bool| if is_narrow { value % 9000 } else { value };
            let buffers: Vec<_> = buffers.into_iter().map(|(memory, offset, length, flags, is_narrow)| {
                Buffer { memory, offset: narrow(offset, is_narrow), length: narrow(length, is_narrow), token: 0, flags }
            }).collect();
            session.submit(1, &buffers).unwrap();
            while let Some(id) = peer.next() {
                for (address, length, _) in peer.chain(id) {
                    let end = address + u64::from(length);
                    let is_inside = |start: u64, size: u64| start <= address && end <= start + size;
                    prop_assert!(is_inside(0x8000, 0x1000) || is_inside(0x1_0000, 0x2000) || is_inside(0x5_0000, 0x1000));
                }
            }
        }
    }
}
