//! Tests of the stack, with a peer in the same process.

mod wire;

use bareflow_tcp::{Peer, Ready, TcpError};
use smoltcp::socket::tcp::{Socket, State};

use wire::{ME, OWN, PEER, SETUP, Wire, pattern};

/// Another module.
const OTHER: u32 = 8;

/// Returns a wire with a connection to port 80 of the stack's: its number, and the socket of the other side.
fn connected() -> (Wire, u32, u32, smoltcp::iface::SocketHandle) {
    let mut wire = Wire::new(SETUP);
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
