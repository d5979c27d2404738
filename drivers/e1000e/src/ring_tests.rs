//! A ring, with a card that does as it should, and one that does not.

use bareflow_abi::state::State;
use proptest::prelude::*;

use super::ring::{Broken, Kind, RING_BYTES, ROOM, Ring, SIZE};
use bareflow_abi::shared::SharedBytes;
use bareflow_device::Buffer;

/// The memory of both rings, aligned.
#[repr(align(16))]
struct Memory([u8; 2 * RING_BYTES as usize]);

/// A card: the memory of its rings.
struct Card(Memory);

impl Card {
    fn new() -> Card {
        Card(Memory([0; 2 * RING_BYTES as usize]))
    }

    fn bytes(&mut self) -> SharedBytes<'_> {
        SharedBytes::new(&mut self.0.0)
    }

    /// Returns a descriptor's address, length, command and status.
    fn descriptor(&mut self, kind: Kind, place: u32) -> (u64, u16, u8, u8) {
        let start = (kind.offset() + place * 16) as usize;
        let bytes = self.bytes();
        let [length, word] = [8, 10].map(|offset| bytes.get::<u16>(start + offset).unwrap());
        (bytes.get(start).unwrap(), length, (word >> 8) as u8, bytes.get(start + 12).unwrap())
    }

    /// Says that it is done with a descriptor.
    fn finish(&mut self, kind: Kind, place: u32, length: u16, status: u8, errors: u8) {
        let start = (kind.offset() + place % SIZE * 16) as usize;
        let bytes = self.bytes();
        bytes.set(start + 8, length).unwrap();
        bytes.set(start + 13, errors).unwrap();
        bytes.set(start + 12, status).unwrap();
    }
}

const fn buffer(token: u16) -> Buffer {
    Buffer { memory: 1, offset: 0, length: 2048, token, flags: 0 }
}

fn given(kind: Kind, count: u16) -> (Ring, Card) {
    let (mut ring, mut card) = (Ring::INITIAL, Card::new());
    for token in 0..count {
        assert!(ring.give(kind, card.bytes(), &buffer(token), 0x1_0000_0000 + u64::from(token) * 2048));
    }
    (ring, card)
}

#[test]
fn gives_and_takes_in_order_round_the_ring() {
    let (mut ring, mut card) = given(Kind::Receive, 100);
    assert_eq!((ring.tail(), ring.room()), (100, ROOM - 100));
    assert_eq!(card.descriptor(Kind::Receive, 3), (0x1_0000_1800, 0, 0, 0));
    for round in 0..1000_u32 {
        assert_eq!(ring.take(Kind::Receive, card.bytes()), Ok(None));
        card.finish(Kind::Receive, round, 60, 3, 0);
        let done = ring.take(Kind::Receive, card.bytes()).unwrap().unwrap();
        assert_eq!((done.token, done.length), ((round % 100) as u16, 60));
        assert!(ring.give(Kind::Receive, card.bytes(), &buffer(done.token), 0x8000));
        assert_eq!(ring.tail(), (round + 101) % SIZE);
    }
}

#[test]
fn a_ring_is_never_full_to_its_end() {
    let (mut ring, mut card) = given(Kind::Send, ROOM as u16);
    assert_eq!((ring.room(), ring.tail()), (0, ROOM));
    assert!(!ring.give(Kind::Send, card.bytes(), &buffer(0), 0));
    // The end of a frame, its checksum, and a word when it is done.
    assert_eq!(card.descriptor(Kind::Send, 5), (0x1_0000_2800, 2048, 0xb, 0));
    card.finish(Kind::Send, 0, 9999, 1, 0xff);
    // What the card says of a frame that it sent has no meaning.
    assert_eq!(ring.take(Kind::Send, card.bytes()).unwrap().unwrap().length, 0);
    assert!(ring.give(Kind::Send, card.bytes(), &buffer(0), 0));
}

#[test]
fn a_frame_with_errors_is_none() {
    for (errors, length) in [(0, 64), (0x60, 64), (0x01, 0), (0x80, 0), (0x97, 0)] {
        let (mut ring, mut card) = given(Kind::Receive, 1);
        card.finish(Kind::Receive, 0, 64, 3, errors);
        assert_eq!(ring.take(Kind::Receive, card.bytes()).unwrap().unwrap().length, length, "{errors:#x}");
    }
}

#[test]
fn believes_no_card_that_lies() {
    for (place, length, status, lie) in [
        (0, 2049, 3, Broken::Length),
        (0, 0, 3, Broken::Length),
        (0, u16::MAX, 3, Broken::Length),
        (0, 64, 1, Broken::Unended),
        (3, 64, 3, Broken::Order),
    ] {
        let (mut ring, mut card) = given(Kind::Receive, 4);
        card.finish(Kind::Receive, place, length, status, 0);
        assert_eq!(ring.take(Kind::Receive, card.bytes()), Err(lie), "{place} {length} {status}");
        assert!(!lie.line().is_empty());
    }
    // One that it does not have.
    let (mut ring, mut card) = given(Kind::Receive, 2);
    card.finish(Kind::Receive, 2, 64, 3, 0);
    card.finish(Kind::Receive, SIZE - 1, 64, 3, 0);
    assert_eq!(ring.take(Kind::Receive, card.bytes()), Ok(None));
}

proptest! {
    /// Whatever a card writes, each token comes once, in order, with no more bytes than its buffer has.
    #[test]
    fn takes_no_more_than_was_given(written in prop::collection::vec((0_u32..SIZE, any::<u16>(), any::<u8>(), any::<u8>()), 0..200)) {
        let (mut ring, mut card) = given(Kind::Receive, 100);
        let mut next = 0;
        for (place, length, status, errors) in written {
            card.finish(Kind::Receive, place, length, status, errors);
            while let Ok(Some(done)) = ring.take(Kind::Receive, card.bytes()) {
                prop_assert_eq!(done.token, next);
                prop_assert!(done.length <= 2048);
                next += 1;
            }
        }
        prop_assert!(next <= 100);
    }
}
