//! Each error of the interface.

use alloc::vec;
use alloc::vec::Vec;

use bareflow_tcp::{Peer, TcpError};
use smoltcp::socket::tcp::State;

use super::wire::{CONFIG, ME, OWN, PEER, Wire};
use super::{OTHER, connected};
use crate::stack::LISTENERS;

#[test]
fn rejects_what_is_another_modules() {
    let (mut wire, listener, number, _) = connected();
    let stack = &mut wire.stack;
    assert_eq!(stack.accept(OTHER, listener), Err(TcpError::NotYours));
    assert_eq!(stack.unlisten(OTHER, listener), Err(TcpError::NotYours));
    assert_eq!(stack.peer(OTHER, number), Err(TcpError::NotYours));
    assert_eq!(stack.send(OTHER, number, b"x"), Err(TcpError::NotYours));
    assert_eq!(stack.receive(OTHER, number, &mut bareflow_abi::Out::new(&mut [0])), Err(TcpError::NotYours));
    assert_eq!(stack.finish(OTHER, number), Err(TcpError::NotYours));
    assert_eq!(stack.forget(OTHER, number, true), Err(TcpError::NotYours));
    assert_eq!(stack.forget(OTHER, number, false), Err(TcpError::NotYours));
    // What it begins is its own alone.
    stack.begin(OTHER);
    assert_eq!(wire.ready(OTHER), []);
    assert_eq!(wire.receive(number), Ok((vec![], false)));
}

#[test]
fn rejects_numbers_of_none() {
    let (mut wire, listener, number, _) = connected();
    for none in [0, number + 1, u32::MAX] {
        assert_eq!(wire.stack.accept(ME, none), Err(TcpError::NoSuchListener));
        assert_eq!(wire.stack.send(ME, none, b""), Err(TcpError::NoSuchConnection));
    }
    assert_eq!(wire.stack.accept(ME, number), Err(TcpError::NoSuchListener));
    assert_eq!(wire.stack.finish(ME, listener), Err(TcpError::NoSuchConnection));
    wire.stack.begin(ME);
    assert_eq!(wire.stack.accept(ME, listener), Err(TcpError::NoSuchListener));
    assert_eq!(wire.stack.send(ME, number, b""), Err(TcpError::NoSuchConnection));
}

#[test]
fn rejects_ports_and_addresses() {
    let mut wire = Wire::new(CONFIG);
    assert_eq!(wire.stack.listen(ME, 0, 1), Err(TcpError::BadPort));
    assert_eq!(wire.stack.connect(ME, Peer::new(PEER, 0)), Err(TcpError::BadPort));
    for address in [[0; 4], [255; 4], [224, 0, 0, 1], [127, 0, 0, 1], [10, 0, 2, 255], [10, 0, 2, 0], OWN] {
        assert_eq!(wire.stack.connect(ME, Peer::new(address, 80)), Err(TcpError::BadAddress), "{address:?}");
    }
    assert!(wire.stack.listen(ME, 80, 1).is_ok());
    assert_eq!(wire.stack.listen(ME, 80, 1), Err(TcpError::PortTaken));
    assert_eq!(wire.stack.listen(OTHER, 80, 1), Err(TcpError::PortTaken));
}

#[test]
fn rejects_more_than_there_may_be() {
    let mut wire = Wire::new(CONFIG);
    for port in 1..=LISTENERS as u16 {
        wire.stack.listen(ME, port, u32::MAX).unwrap();
    }
    assert_eq!(wire.stack.listen(ME, 99, 1), Err(TcpError::TooMany));
    wire.stack.begin(ME);
    wire.run(1);
    let all: Vec<_> = (0..CONFIG.connections).map(|_| wire.stack.connect(ME, Peer::new(PEER, 9)).unwrap()).collect();
    assert_eq!(wire.stack.connect(ME, Peer::new(PEER, 9)), Err(TcpError::TooMany));
    wire.stack.forget(ME, all[0], true).unwrap();
    wire.run(1100);
    assert!(wire.stack.connect(ME, Peer::new(PEER, 9)).is_ok());
}

#[test]
fn rejects_modules_beyond_the_most() {
    let mut wire = Wire::new(CONFIG);
    for caller in 0..64 {
        assert_eq!(wire.stack.listen(caller, 80, 1).is_ok(), caller == 0);
        _ = wire.stack.connect(caller + 100, Peer::new(PEER, 9));
    }
    // There are listeners left, but for none but those that are known.
    assert_eq!(wire.stack.listen(1000, 81, 1), Err(TcpError::TooMany));
    assert!(wire.stack.listen(0, 81, 1).is_ok());
}

#[test]
fn rejects_what_the_other_side_does_not_take() {
    let mut wire = Wire::new(CONFIG);
    let number = wire.stack.connect(ME, Peer::new(PEER, 9)).unwrap();
    let unanswered = wire.stack.connect(ME, Peer::new([10, 0, 2, 77], 9)).unwrap();
    wire.run(50);
    assert_eq!(wire.stack.send(ME, number, b"x"), Err(TcpError::Refused));
    assert_eq!(wire.receive(number), Err(TcpError::Refused));
    assert_eq!(wire.stack.finish(ME, number), Err(TcpError::Refused));
    assert_eq!(wire.stack.send(ME, unanswered, b"x"), Ok(0));
    for _ in 0..62 {
        wire.stack.hear(ME);
        wire.run(1000);
    }
    assert_eq!(wire.stack.send(ME, unanswered, b"x"), Err(TcpError::Refused));
}

#[test]
fn rejects_what_the_other_side_has_reset() {
    let (mut wire, _, number, handle) = connected();
    wire.at(handle).send_slice(b"last").unwrap();
    wire.run(5);
    wire.at(handle).abort();
    wire.run(5);
    // What came before is there still.
    assert_eq!(wire.receive(number), Ok((b"last".to_vec(), false)));
    assert_eq!(wire.receive(number), Err(TcpError::Reset));
    assert_eq!(wire.stack.send(ME, number, b"x"), Err(TcpError::Reset));
    assert_eq!(wire.stack.finish(ME, number), Err(TcpError::Reset));
    assert_eq!(wire.at(handle).state(), State::Closed);
}

#[test]
fn rejects_buffers_beyond_the_memory() {
    let config = crate::stack::Config { send_bytes: usize::MAX / 2, ..CONFIG };
    assert!(crate::stack::Stack::new(config, &<crate::Kept as bareflow_abi::state::State>::INITIAL).is_none());
}
