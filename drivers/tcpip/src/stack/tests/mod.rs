//! Tests of the stack, with a peer in the same process.

mod frames;
mod refusals;
mod transfers;
mod wire;

use alloc::vec;
use alloc::vec::Vec;

use bareflow_abi::state::State as _;
use bareflow_tcp::{Peer, Ready, TcpError};
use smoltcp::socket::tcp::State;

use super::slots::Use;
use crate::Kept;
use wire::{CONFIG, ME, PEER, Wire};

/// Another module.
const OTHER: u32 = 8;

/// Returns a wire with a connection to port 80 of the stack's: its number, and the socket of the other side.
fn connected() -> (Wire, u32, u32, smoltcp::iface::SocketHandle) {
    let mut wire = Wire::new(CONFIG);
    let listener = wire.stack.listen(ME, 80, 4).unwrap();
    let handle = wire.connect(80, 50_000);
    wire.run(20);
    assert!(core::mem::take(&mut wire.is_told));
    assert_eq!(wire.ready(ME), [Ready { number: listener, what: Ready::ACCEPT }]);
    let number = wire.stack.accept(ME, listener).unwrap();
    (wire, listener, number, handle)
}

#[test]
fn serves_a_connection_from_beginning_to_end() {
    let (mut wire, listener, number, handle) = connected();
    assert_eq!(wire.stack.accept(ME, listener), Err(TcpError::NothingYet));
    assert_eq!(wire.stack.peer(ME, number), Ok(Peer::new(PEER, 50_000)));
    assert_eq!(wire.receive(number), Ok((vec![], false)));
    wire.at(handle).send_slice(b"question").unwrap();
    wire.run(5);
    assert_eq!(wire.ready(ME), [Ready { number, what: Ready::RECEIVE }]);
    assert_eq!(wire.receive(number), Ok((b"question".to_vec(), false)));
    assert_eq!(wire.stack.send(ME, number, b"answer"), Ok(6));
    assert_eq!(wire.stack.finish(ME, number), Ok(()));
    assert_eq!(wire.stack.send(ME, number, b"more"), Err(TcpError::Finished));
    wire.run(5);
    let mut answer = [0; 10];
    assert_eq!(wire.at(handle).recv_slice(&mut answer), Ok(6));
    assert_eq!(wire.at(handle).state(), State::CloseWait);
    wire.at(handle).close();
    wire.run(20);
    assert_eq!(wire.ready(ME), [Ready { number, what: Ready::RECEIVE }]);
    assert_eq!(wire.receive(number), Ok((vec![], true)));
    assert_eq!(wire.ready(ME), [Ready { number, what: Ready::ENDED }]);
    assert_eq!(wire.stack.forget(ME, number, true), Ok(()));
    assert_eq!(wire.ready(ME), []);
    assert_eq!(wire.receive(number), Err(TcpError::NoSuchConnection));
    assert_eq!(wire.at(handle).state(), State::Closed);
}

#[test]
fn connects_to_others() {
    let mut wire = Wire::new(CONFIG);
    let handle = wire.socket(4096);
    wire.at(handle).listen(9000).unwrap();
    let number = wire.stack.connect(ME, Peer::new(PEER, 9000)).unwrap();
    assert_eq!(wire.stack.send(ME, number, b"early"), Ok(0));
    assert_eq!(wire.receive(number), Ok((vec![], false)));
    wire.run(20);
    assert!(wire.is_told);
    assert_eq!(wire.ready(ME), [Ready { number, what: Ready::SEND }]);
    assert_eq!(wire.stack.send(ME, number, b"hello"), Ok(5));
    assert_eq!(wire.ready(ME), []);
    wire.run(5);
    let mut got = [0; 10];
    assert_eq!(wire.at(handle).recv_slice(&mut got), Ok(5));
    assert_eq!(wire.stack.forget(ME, number, true), Ok(()));
    wire.run(5);
    assert_eq!(wire.at(handle).state(), State::Closed);
}

#[test]
fn what_is_closed_is_still_sent() {
    let (mut wire, _, number, handle) = connected();
    let bytes = vec![9; 8000];
    assert_eq!(wire.stack.send(ME, number, &bytes), Ok(8000));
    assert_eq!(wire.stack.forget(ME, number, false), Ok(()));
    assert_eq!(wire.receive(number), Err(TcpError::NoSuchConnection));
    wire.at(handle).send_slice(b"dropped").unwrap();
    wire.run(50);
    let mut got = vec![0; 9000];
    assert_eq!(wire.at(handle).recv_slice(&mut got), Ok(8000));
    wire.at(handle).close();
    wire.run(20_000);
    assert_eq!(wire.at(handle).state(), State::Closed);
    assert!(wire.stack.slots.iter().filter(|slot| slot.usage == Use::Free).count() == wire.stack.slots.len() - 1);
}

#[test]
fn a_connection_that_is_closed_does_not_last() {
    let (mut wire, _, number, handle) = connected();
    wire.stack.forget(ME, number, false).unwrap();
    // The other side goes on for ever.
    for _ in 0..35_000 {
        _ = wire.at(handle).send_slice(&[1; 500]);
        wire.run(1);
    }
    assert_eq!(wire.at(handle).state(), State::Closed);
}

#[test]
fn a_silent_peer_and_a_silent_module_end() {
    let (mut wire, listener, number, _) = connected();
    // Nothing gets through.
    for _ in 0..75_000 {
        wire.step(|_, _, _| ());
        wire.stack.hear(ME);
    }
    assert_eq!(wire.ready(ME), [Ready { number, what: Ready::ENDED }]);
    assert_eq!(wire.receive(number), Err(TcpError::Reset));
    // Who is told that there may be something, and says nothing for a minute, is gone.
    wire.is_told = false;
    wire.run(90_000);
    assert!(wire.is_told);
    assert_eq!(wire.stack.accept(ME, listener), Err(TcpError::NoSuchListener));
    assert_eq!(wire.receive(number), Err(TcpError::NoSuchConnection));
}

#[test]
fn a_module_that_says_something_stays() {
    let (mut wire, listener, ..) = connected();
    for _ in 0..200 {
        wire.run(1000);
        if core::mem::take(&mut wire.is_told) {
            wire.stack.hear(ME);
        }
    }
    assert_eq!(wire.stack.accept(ME, listener), Err(TcpError::NothingYet));
}

#[test]
fn the_port_of_a_module_that_is_gone_is_free_soon() {
    let (mut wire, listener, ..) = connected();
    assert_eq!(wire.stack.listen(OTHER, 80, 1), Err(TcpError::PortTaken));
    // One that is there says so.
    wire.is_told = false;
    wire.run(10);
    assert!(wire.is_told);
    wire.stack.hear(ME);
    wire.run(5_000);
    assert_eq!(wire.stack.listen(OTHER, 80, 1), Err(TcpError::PortTaken));
    wire.is_told = false;
    wire.run(5_000);
    assert!(wire.is_told);
    assert!(wire.stack.listen(OTHER, 80, 1).is_ok());
    assert_eq!(wire.stack.accept(ME, listener), Err(TcpError::NoSuchListener));
}

#[test]
fn who_asks_for_a_port_whenever_it_is_told_gets_it() {
    let (mut wire, ..) = connected();
    assert_eq!(wire.stack.listen(OTHER, 80, 1), Err(TcpError::PortTaken));
    let mut tries = 0;
    for _ in 0..10_000 {
        wire.run(1);
        if core::mem::take(&mut wire.is_told) {
            tries += 1;
            if wire.stack.listen(OTHER, 80, 1).is_ok() {
                assert!(tries < 10, "{tries}");
                return;
            }
        }
    }
    panic!("{tries} tries");
}

#[test]
fn a_new_stack_has_the_listeners_of_the_one_before() {
    let (mut wire, listener, number, _) = connected();
    let mut kept = Kept::INITIAL;
    wire.stack.keep(&mut kept);
    let mut next = Wire::with(CONFIG, &kept);
    assert_eq!(next.ready(ME), [Ready { number, what: Ready::ENDED }]);
    assert_eq!(next.receive(number), Err(TcpError::Lost));
    assert_eq!(next.stack.send(OTHER, number, b""), Err(TcpError::NotYours));
    assert_eq!(next.stack.forget(ME, number, true), Ok(()));
    assert_eq!(next.receive(number), Err(TcpError::NoSuchConnection));
    next.connect(80, 50_001);
    next.run(20);
    let newer = next.stack.accept(ME, listener).unwrap();
    assert!(newer > number);
}

#[test]
fn what_is_ready_comes_in_turn() {
    let mut wire = Wire::new(CONFIG);
    let listener = wire.stack.listen(ME, 80, 8).unwrap();
    let handles: Vec<_> = (0..6).map(|index| wire.connect(80, 50_000 + index)).collect();
    wire.run(40);
    let mut numbers: Vec<_> = (0..6).map(|_| wire.stack.accept(ME, listener).unwrap()).collect();
    handles.into_iter().for_each(|handle| _ = wire.at(handle).send_slice(b"x").unwrap());
    wire.run(10);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let mut room = [Ready::default(); 2];
        let mut out = bareflow_abi::Out::new(&mut room);
        wire.stack.ready(ME, &mut out);
        seen.extend(out.written().iter().map(|ready| ready.number));
    }
    numbers.sort();
    seen.sort();
    assert_eq!(seen, numbers);
}
