//! The interface `tcp`: connections over IPv4.
//!
//! A module calls [`begin`](Tcp::begin) first, and again when a call is [`CallError::Restarted`]. It subscribes to the
//! provider's notification `ready`, and then asks by [`ready`](Tcp::ready) what there is to do. No call waits for anything.
//!
//! A listener or a connection is known by a number, never one that was in use before, and belongs to the module that made it:
//! others get [`TcpError::NotYours`]. `ready` is published now and then although there is nothing to do; the provider ends all
//! of a module that was silent for a minute, as one is that was unloaded.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{CallError, Failure, Out, Plain, interface};

/// Connections over IPv4.
#[interface(version = "1.0")]
pub trait Tcp {
    /// Ends all listeners and connections that the caller has, the latter with a reset.
    fn begin(&mut self) -> Result<(), TcpError>;

    /// Listens at a port. Up to `backlog` connections wait there to be accepted. Returns the listener's number.
    fn listen(&mut self, port: u16, backlog: u32) -> Result<u32, TcpError>;

    /// Ends a listener, and the connections that wait there.
    fn unlisten(&mut self, listener: u32) -> Result<(), TcpError>;

    /// Returns the number of a connection that waited at a listener.
    fn accept(&mut self, listener: u32) -> Result<u32, TcpError>;

    /// Begins a connection, and returns its number. [`Ready::SEND`] says that it is there, [`Ready::ENDED`] that it failed.
    fn connect(&mut self, to: &Peer) -> Result<u32, TcpError>;

    /// Writes who is at the other side of a connection.
    fn peer(&self, connection: u32, peer: &mut Peer) -> Result<(), TcpError>;

    /// Appends what was received, as far as there is room. Returns whether that was the last: the other side has finished.
    fn receive(&mut self, connection: u32, into: &mut Out<'_, u8>) -> Result<bool, TcpError>;

    /// Takes bytes to be sent. Returns how many it took; if not all, [`Ready::SEND`] says when there is room again.
    fn send(&mut self, connection: u32, bytes: &[u8]) -> Result<u32, TcpError>;

    /// Finishes this side: when what was taken is sent, the other side is told that there is no more. It may still send. Once
    /// the connection has [ended](Ready::ENDED), another call says whether all arrived.
    fn finish(&mut self, connection: u32) -> Result<(), TcpError>;

    /// Finishes this side, and forgets the connection. What was taken is still sent, for half a minute; what comes is dropped.
    fn close(&mut self, connection: u32) -> Result<(), TcpError>;

    /// Forgets a connection, with a reset unless both sides have finished or it ended before.
    fn abort(&mut self, connection: u32) -> Result<(), TcpError>;

    /// Appends what of the caller's can be gone on with. Each is told again as long as that is so, so a caller with little
    /// room does something about what it is told, and asks again.
    fn ready(&mut self, into: &mut Out<'_, Ready>) -> Result<(), TcpError>;
}

/// An address with a port.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Plain)]
pub struct Peer {
    /// The address, as it is written: `[10, 0, 2, 2]`.
    pub address: [u8; 4],
    /// The port.
    pub port: u16,
    /// 0.
    pub zero: u16,
}

impl Peer {
    /// Makes one of an address and a port.
    pub const fn new(address: [u8; 4], port: u16) -> Peer {
        Peer { address, port, zero: 0 }
    }
}

/// A listener or a connection that something can be done with.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Plain)]
pub struct Ready {
    /// The number of the listener or the connection.
    pub number: u32,
    /// The sum of what can be done.
    pub what: u32,
}

impl Ready {
    /// A connection waits at the listener.
    pub const ACCEPT: u32 = 1;
    /// There is something to receive, or the other side has finished and that was not received yet.
    pub const RECEIVE: u32 = 2;
    /// There is room to send, after [`Tcp::connect`], or after a [`Tcp::send`] that did not take all.
    pub const SEND: u32 = 4;
    /// The connection has ended, and nothing is left to receive. [`Tcp::close`] or [`Tcp::abort`] forgets it.
    pub const ENDED: u32 = 8;

    /// Returns whether this can be done, one of the above.
    pub const fn can(self, what: u32) -> bool {
        self.what & what != 0
    }
}

/// An error of TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Failure)]
pub enum TcpError {
    /// No connection waits at the listener.
    NothingYet,
    /// No listener has this number.
    NoSuchListener,
    /// No connection has this number.
    NoSuchConnection,
    /// The listener or the connection is another module's.
    NotYours,
    /// There is no port 0.
    BadPort,
    /// No single host has this address.
    BadAddress,
    /// The port has a listener. If that is another module's that is gone, the port is free within some seconds, and `ready`
    /// is published.
    PortTaken,
    /// There are as many listeners or connections as there may be.
    TooMany,
    /// This side has finished, and can't send any more.
    Finished,
    /// The other side did not take the connection, or did not answer.
    Refused,
    /// The other side has reset the connection, or does not answer any more.
    Reset,
    /// The provider was replaced, and had to give the connection up. Listeners are still there.
    Lost,
    /// The call gave no answer.
    #[call_error]
    Call(CallError),
}
