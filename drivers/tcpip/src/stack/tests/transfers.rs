//! Bytes over a wire that loses, doubles, delays and changes frames.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use bareflow_tcp::{Ready, TcpError};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use smoltcp::socket::tcp::State;
use smoltcp::time::Duration;

use super::wire::{CONFIG, ME, Wire, pattern};

/// The chances that something happens to a frame, in 256.
#[derive(Clone, Copy, Debug)]
struct Chances {
    lost: u8,
    doubled: u8,
    delayed: u8,
    cut: u8,
    flipped: u8,
}

/// A wire that does it.
struct Bad {
    chances: Chances,
    random: u64,
    late: [VecDeque<Vec<u8>>; 2],
}

impl Bad {
    fn chance(&mut self, of: u8) -> bool {
        self.next() % 256 < u64::from(of)
    }

    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 8
    }

    fn carry(&mut self, mut frame: Vec<u8>, is_in: bool, end: &mut VecDeque<Vec<u8>>) {
        let Chances { lost, doubled, delayed, cut, flipped } = self.chances;
        if self.chance(lost) {
            return;
        }
        if self.chance(cut) {
            frame.truncate(self.next() as usize % (frame.len() + 1));
        } else if self.chance(flipped) && frame[12..14] == [8, 0] {
            // Nothing but the wire's own checksum protects the others, which ask for addresses.
            let bit = self.next() as usize % (8 * frame.len());
            frame[bit / 8] ^= 1 << (bit % 8);
        }
        if self.chance(doubled) {
            end.push_back(frame.clone());
        }
        if self.chance(delayed) {
            self.late[usize::from(is_in)].push_back(frame);
        } else {
            end.push_back(frame);
            if self.chance(100) {
                end.extend(self.late[usize::from(is_in)].pop_front());
            }
        }
    }
}

/// Sends so many bytes in both directions. Returns whether all arrived and both sides finished in order; what arrived is right in
/// any case.
fn transfer(bytes: usize, chances: Chances, seed: u64, slow: bool) -> bool {
    let mut wire = Wire::new(CONFIG);
    let mut bad = Bad { chances, random: seed | 1, late: Default::default() };
    let listener = wire.stack.listen(ME, 80, 4).unwrap();
    let handle = wire.connect(80, 50_000);
    // It may take itself to be connected when the stack has given up.
    wire.at(handle).set_keep_alive(Some(Duration::from_secs(5)));
    let (mut number, mut sent, mut received, mut back, mut returned) = (None, 0, 0, 0, 0);
    let (mut has_finished, mut is_read) = (false, false);
    for step in 0..400_000 {
        wire.step(|frame, is_in, end| bad.carry(frame, is_in, end));
        wire.stack.hear(ME);
        let number = match number {
            None => match wire.stack.accept(ME, listener) {
                Ok(accepted) => *number.insert(accepted),
                Err(error) => {
                    assert_eq!(error, TcpError::NothingYet);
                    if wire.at(handle).state() == State::Closed {
                        return false;
                    }
                    continue;
                }
            },
            Some(number) => number,
        };
        // The stack's side.
        let chunk: Vec<u8> = (sent..bytes.min(sent + 3000)).map(pattern).collect();
        if sent < bytes {
            match wire.stack.send(ME, number, &chunk) {
                Ok(taken) => sent += taken as usize,
                Err(error) => return error != TcpError::Reset && panic!("{error:?}"),
            }
        } else if !has_finished {
            has_finished = wire.stack.finish(ME, number).is_ok();
        }
        if !is_read && (!slow || step % 50 == 0) {
            match wire.receive(number) {
                Ok((got, is_all)) => {
                    assert!(got.iter().enumerate().all(|(index, byte)| *byte == pattern(returned + index)));
                    returned += got.len();
                    is_read = is_all;
                }
                Err(error) => return error != TcpError::Reset && panic!("{error:?}"),
            }
        }
        // The other one.
        let socket = wire.at(handle);
        if back < bytes && socket.may_send() {
            let chunk: Vec<u8> = (back..bytes.min(back + 3000)).map(pattern).collect();
            back += socket.send_slice(&chunk).unwrap();
        } else if back == bytes {
            socket.close();
        }
        let mut room = vec![0; 4096];
        if (!slow || step % 50 == 1)
            && let Ok(length) = socket.recv_slice(&mut room)
        {
            assert!(room[..length].iter().enumerate().all(|(index, byte)| *byte == pattern(received + index)));
            received += length;
        }
        if received == bytes && returned == bytes && is_read && has_finished {
            return true;
        }
        let has_ended = wire.ready(ME).iter().any(|ready| ready.number == number && ready.can(Ready::ENDED));
        if has_ended && (!is_read || !has_finished || wire.stack.finish(ME, number) == Err(TcpError::Reset)) {
            return false;
        }
    }
    panic!("{sent} and {received}, {back} and {returned}");
}

#[test]
fn a_good_wire_carries_everything() {
    let none = Chances { lost: 0, doubled: 0, delayed: 0, cut: 0, flipped: 0 };
    assert!(transfer(1_000_000, none, 1, false));
    assert!(transfer(100_000, none, 1, true));
}

/// A peer that has finished, and then has no room for a while.
#[test]
fn a_reader_that_has_finished_gets_all_or_the_connection_ends() {
    let chances = Chances { lost: 20, doubled: 0, delayed: 70, cut: 3, flipped: 9 };
    let seeds = (1..10).map(|seed| 17_792_744_051_848_912_430_u64.wrapping_mul(seed));
    let whole = seeds.filter(|seed| transfer(9653, chances, *seed, true)).count();
    assert!(whole > 0);
}

#[test]
fn a_slow_reader_costs_no_one_else() {
    let mut wire = Wire::new(CONFIG);
    let listener = wire.stack.listen(ME, 80, 8).unwrap();
    let handles: Vec<_> = (0..6).map(|index| wire.connect(80, 50_000 + index)).collect();
    wire.run(40);
    let numbers: Vec<_> = (0..6).map(|_| wire.stack.accept(ME, listener).unwrap()).collect();
    // All but one read nothing, on either side.
    let mut received = 0;
    for _ in 0..3000 {
        for number in &numbers {
            wire.stack.send(ME, *number, &[5; 1000]).unwrap();
        }
        for handle in &handles {
            _ = wire.at(*handle).send_slice(&[6; 1000]);
        }
        wire.run(1);
        let mut room = [0; 4096];
        received += wire.at(handles[0]).recv_slice(&mut room).unwrap();
    }
    assert!(received > 1_000_000, "{received}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_bad_wire_carries_everything_or_ends_the_connection(
        (lost, doubled, delayed, cut, flipped) in (0..25_u8, 0..60_u8, 0..60_u8, 0..10_u8, 0..10_u8),
        seed in any::<u64>(),
        bytes in 1..60_000_usize,
        (slow, loses) in any::<(bool, bool)>(),
    ) {
        // What is late may never come.
        let (lost, delayed, cut, flipped) = if loses { (lost, delayed, cut, flipped) } else { (0, 0, 0, 0) };
        let is_whole = transfer(bytes, Chances { lost, doubled, delayed, cut, flipped }, seed, slow);
        prop_assert!(is_whole || loses);
    }
}
