//! The session, with a card that has room for few buffers, or sends nothing.

use std::vec::Vec;

use bareflow_nic::Buffer;
use bareflow_regions::View;

use super::*;
use crate::port::{FRAME_BYTES, Frames as _};

/// A card with room for so many buffers of each kind.
struct Double {
    room: usize,
    receiving: Vec<u16>,
    sending: Vec<u16>,
    /// The frames that wait in the network, and whether those that are sent leave.
    waiting: usize,
    sends: bool,
}

impl Double {
    fn new(room: usize) -> Double {
        Double { room, receiving: Vec::new(), sending: Vec::new(), waiting: 0, sends: true }
    }
}

/// Gives buffers, then moves `done` of them out. Returns how many were taken.
fn pass(queue: &mut Vec<u16>, room: usize, given: &[Buffer], done: usize, into: &mut Out<'_, Completion>) -> u32 {
    let taken = given.len().min(room - queue.len());
    queue.extend(given[..taken].iter().map(|buffer| buffer.token));
    let done = done.min(queue.len()).min(into.remaining());
    for token in queue.drain(..done) {
        assert!(into.push(Completion { token, reserved: 0, length: 60 }));
    }
    taken as u32
}

impl Nic for Double {
    fn begin(&mut self, _: &mut [u8]) -> Result<(), NicError> {
        (self.receiving, self.sending) = (Vec::new(), Vec::new());
        Ok(())
    }

    fn attach(&mut self, _: u32) -> Result<u32, NicError> {
        Ok(1)
    }

    fn receive(&mut self, empty: &[Buffer], into: &mut Out<'_, Completion>) -> Result<u32, NicError> {
        let taken = pass(&mut self.receiving, self.room, empty, self.waiting, into);
        self.waiting -= into.written().len();
        Ok(taken)
    }

    fn send(&mut self, frames: &[Buffer], into: &mut Out<'_, Completion>) -> Result<u32, NicError> {
        let done = if self.sends { usize::MAX } else { 0 };
        Ok(pass(&mut self.sending, self.room, frames, done, into))
    }
}

/// Regions of which one can be created, and lent.
struct OneRegion;

impl Regions for OneRegion {
    fn create(&mut self, _: u64) -> Result<u32, RegionError> {
        Ok(1)
    }

    fn destroy(&mut self, _: u32) -> Result<(), RegionError> {
        Err(RegionError::NoSuchRegion)
    }

    fn lend(&mut self, _: u32, to: &str, _: Access) -> Result<(), RegionError> {
        assert_eq!(to, DRIVER);
        Ok(())
    }

    fn take_back(&mut self, _: u32) -> Result<(), RegionError> {
        Err(RegionError::NoSuchRegion)
    }

    fn give_back(&mut self, _: u32) -> Result<(), RegionError> {
        Err(RegionError::NoSuchRegion)
    }

    fn open(&mut self, _: u32, _: Access, _: &mut View) -> Result<(), RegionError> {
        Err(RegionError::NoSuchRegion)
    }

    fn close(&mut self, _: u32, _: u64) -> Result<(), RegionError> {
        Err(RegionError::NoSuchRegion)
    }

    fn lender(&self, _: u32) -> Result<u32, RegionError> {
        Err(RegionError::NoSuchRegion)
    }
}

/// Handles what came as the stack does: each frame has an answer of a byte. Returns how many came.
fn answer(session: &mut Session, nic: &mut Double, memory: &mut [u8]) -> usize {
    let came = session.receive(nic).unwrap();
    let mut batch = session.batch(SharedBytes::new(memory), &came);
    let mut frame = [0; FRAME_BYTES];
    let mut count = 0;
    while batch.has_room() && batch.receive(&mut frame).is_some() {
        batch.send(&[count as u8]);
        count += 1;
    }
    assert_eq!(count, came.frames().len(), "a frame was dropped");
    let sent = batch.count();
    session.send_last(nic, sent).unwrap();
    count
}

/// Returns the memory of the buffers.
fn memory() -> Vec<u8> {
    std::vec![0; (2 * u32::from(EACH) * BUFFER_BYTES) as usize]
}

/// Answers until the session is not due any more. Returns how often, and how many frames that were.
fn answer_all(session: &mut Session, nic: &mut Double, memory: &mut [u8]) -> (usize, usize) {
    let mut all = 0;
    for count in 1..1000 {
        all += answer(session, nic, memory);
        if !session.is_due() {
            return (count, all);
        }
    }
    panic!("it is due for ever");
}

#[test]
fn no_frame_is_received_that_can_not_be_answered() {
    let (mut session, mut memory) = (Session::new(), memory());
    let mut nic = Double { sends: false, waiting: 200, ..Double::new(64) };
    session.set_up(&mut nic, &mut OneRegion).unwrap();
    let answered: usize = (0..20).map(|_| answer(&mut session, &mut nic, &mut memory)).sum();
    assert_eq!((answered, session.buffers.free_to_send()), (64, 0));
    // The driver ends, and the next one is to send them all, while the answer to what it may have lost has no room.
    session.end(NicError::Call(CallError::Faulted));
    session.set_up(&mut nic, &mut OneRegion).unwrap();
    assert_eq!((nic.sending.len(), answer(&mut session, &mut nic, &mut memory)), (64, 0));
    assert!(session.receive(&mut nic).unwrap().had_no_room() && session.is_due() && session.has_lost);
    nic.sends = true;
    assert_eq!(answer_all(&mut session, &mut nic, &mut memory).1, 136);
    assert!(!session.has_lost);
}

#[test]
fn a_card_with_room_for_few_buffers_is_not_asked_for_ever() {
    let mut memory = memory();
    for room in [1, 16, 40, 48, 49, 64] {
        let (mut session, mut nic) = (Session::new(), Double::new(room));
        session.set_up(&mut nic, &mut OneRegion).unwrap();
        let (times, frames) = answer_all(&mut session, &mut nic, &mut memory);
        assert!(times < 6 && frames == 0, "{room}: {times}");
        // However many come, none stays, and the card can receive again.
        for waiting in [1, room, 300] {
            nic.waiting = waiting;
            assert_eq!(answer_all(&mut session, &mut nic, &mut memory).1, waiting);
            assert!(!nic.receiving.is_empty(), "{room}, {waiting}");
        }
    }
}
