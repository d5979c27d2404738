//! The calls, each for one caller.

use bareflow_abi::Out;
use bareflow_tcp::{Peer, Ready, TcpError};
use smoltcp::socket::tcp::{RecvError, Socket, State};
use smoltcp::wire::{IpAddress, Ipv4Address, Ipv4Cidr};

use super::listeners::Listener;
use super::slots::{Slot, Use};
use super::{LISTENERS, Stack};
use crate::hosts::is_host;

/// The first of the ports from which connections begin, and their number (RFC 6335).
const FIRST_PORT: u16 = 49_152;
const PORTS: u64 = 16_384;

/// The ports that are tried.
const TRIES: u32 = 64;

impl Stack {
    /// Notes that a caller is there.
    pub fn hear(&mut self, caller: u32) {
        self.owners.hear(caller);
    }

    /// Ends all that a caller has.
    pub fn begin(&mut self, caller: u32) {
        self.end_all_of(caller);
        self.is_due = true;
    }

    pub fn listen(&mut self, caller: u32, port: u16, backlog: u32) -> Result<u32, TcpError> {
        if port == 0 {
            return Err(TcpError::BadPort);
        }
        if let Some(listener) = self.listeners.iter().find(|listener| listener.port == port) {
            let owner = listener.owner;
            if owner != caller {
                self.is_due |= self.owners.doubt(owner);
            }
            return Err(TcpError::PortTaken);
        }
        if self.listeners.len() == LISTENERS || !self.owners.admit(caller) {
            return Err(TcpError::TooMany);
        }
        let number = self.new_number();
        let backlog = (backlog as usize).clamp(1, self.most_waiting());
        self.listeners.push(Listener::new(number, caller, port, backlog));
        self.is_due = true;
        Ok(number)
    }

    pub fn unlisten(&mut self, caller: u32, number: u32) -> Result<(), TcpError> {
        let index = self.listener(caller, number)?;
        self.end_listener(index);
        self.is_due = true;
        Ok(())
    }

    pub fn accept(&mut self, caller: u32, number: u32) -> Result<u32, TcpError> {
        let index = self.listener(caller, number)?;
        self.listeners[index].is_told = false;
        let slot = self.first_waiting(number).ok_or(TcpError::NothingYet)?;
        let connection = self.own(slot, caller, self.other_side(slot));
        self.slots[slot].was_there = true;
        Ok(connection)
    }

    pub fn connect(&mut self, caller: u32, to: Peer) -> Result<u32, TcpError> {
        let address = Ipv4Address::from(to.address);
        let network = Ipv4Cidr::new(self.config.address, self.config.prefix);
        if !is_host(address, network) || address == self.config.address {
            return Err(TcpError::BadAddress);
        }
        if to.port == 0 {
            return Err(TcpError::BadPort);
        }
        if !self.owners.admit(caller) {
            return Err(TcpError::TooMany);
        }
        let port = self.free_port().ok_or(TcpError::TooMany)?;
        let slot = self.take_slot().ok_or(TcpError::TooMany)?;
        let socket = self.sockets.get_mut::<Socket<'_>>(self.slots[slot].handle);
        let connected = socket.connect(self.interface.context(), (IpAddress::from(address), to.port), port);
        connected.map_err(|_| TcpError::BadAddress)?;
        let number = self.own(slot, caller, to);
        self.slots[slot].wants_room = true;
        Ok(number)
    }

    pub fn peer(&self, caller: u32, number: u32) -> Result<Peer, TcpError> {
        self.connection(caller, number).map(|slot| self.slots[slot].peer)
    }

    /// Appends what was received. Returns whether it was the last.
    pub fn receive(&mut self, caller: u32, number: u32, into: &mut Out<'_, u8>) -> Result<bool, TcpError> {
        let slot = self.connection(caller, number)?;
        self.slots[slot].told &= !Ready::RECEIVE;
        self.is_due = true;
        if matches!(self.state(slot), State::SynSent | State::SynReceived) {
            return Ok(false);
        }
        while into.remaining() > 0 {
            let socket = self.socket(slot);
            let received = socket.recv(|bytes| {
                let count = into.extend_from_slice(bytes);
                (count, count)
            });
            match received {
                Ok(0) => break,
                Ok(_) => {}
                Err(RecvError::Finished) => {
                    self.slots[slot].is_read = true;
                    return Ok(true);
                }
                // What came before the end is passed on first.
                Err(RecvError::InvalidState) if !into.written().is_empty() => break,
                Err(RecvError::InvalidState) => return Err(self.end_of(slot)),
            }
        }
        Ok(false)
    }

    /// Takes bytes to be sent. Returns their number.
    pub fn send(&mut self, caller: u32, number: u32, bytes: &[u8]) -> Result<u32, TcpError> {
        let slot = self.connection(caller, number)?;
        self.slots[slot].told &= !Ready::SEND;
        let taken = match self.state(slot) {
            _ if self.slots[slot].is_finished => return Err(TcpError::Finished),
            State::SynSent | State::SynReceived => 0,
            State::Established | State::CloseWait => self.socket(slot).send_slice(bytes).unwrap_or(0),
            _ => return Err(self.end_of(slot)),
        };
        self.slots[slot].wants_room = taken < bytes.len();
        self.is_due = true;
        Ok(taken as u32)
    }

    pub fn finish(&mut self, caller: u32, number: u32) -> Result<(), TcpError> {
        let slot = self.connection(caller, number)?;
        // One that ended in order has sent all.
        let has_sent = self.slots[slot].is_finished && self.socket(slot).send_queue() == 0;
        if self.state(slot) == State::Closed && !has_sent {
            return Err(self.end_of(slot));
        }
        self.finish_slot(slot);
        self.is_due = true;
        Ok(())
    }

    /// Forgets a connection, with a reset or when all is sent.
    pub fn forget(&mut self, caller: u32, number: u32, with_reset: bool) -> Result<(), TcpError> {
        match self.connection(caller, number) {
            Ok(slot) => self.leave(slot, with_reset),
            Err(TcpError::Lost) => {
                self.lost.retain(|(lost, _)| *lost != number);
                self.is_changed = true;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Returns the other side of a connection; zeros if it is just gone.
    fn other_side(&self, slot: usize) -> Peer {
        let endpoint = self.sockets.get::<Socket<'_>>(self.slots[slot].handle).remote_endpoint();
        endpoint.map_or(Peer::default(), |endpoint| {
            let IpAddress::Ipv4(address) = endpoint.addr;
            Peer::new(address.octets(), endpoint.port)
        })
    }

    /// Gives a connection to a caller. Returns its number.
    fn own(&mut self, slot: usize, caller: u32, peer: Peer) -> u32 {
        self.use_slot(slot, Use::Owned);
        let number = self.new_number();
        let slot = &mut self.slots[slot];
        (slot.number, slot.owner, slot.peer) = (number, caller, peer);
        self.is_due = true;
        number
    }

    fn listener(&self, caller: u32, number: u32) -> Result<usize, TcpError> {
        let index = self.listeners.iter().position(|listener| listener.number == number);
        let index = index.ok_or(TcpError::NoSuchListener)?;
        if self.listeners[index].owner == caller { Ok(index) } else { Err(TcpError::NotYours) }
    }

    fn connection(&self, caller: u32, number: u32) -> Result<usize, TcpError> {
        let of = |owner| if owner == caller { Ok(()) } else { Err(TcpError::NotYours) };
        if let Some(slot) = self.slots.iter().position(|slot| number != 0 && slot.number == number) {
            return of(self.slots[slot].owner).map(|()| slot);
        }
        let lost = self.lost.iter().find(|(lost, _)| *lost == number);
        let (_, owner) = lost.ok_or(TcpError::NoSuchConnection)?;
        of(*owner).and(Err(TcpError::Lost))
    }

    /// Returns the error of a connection that has ended.
    fn end_of(&self, slot: usize) -> TcpError {
        if self.slots[slot].was_there { TcpError::Reset } else { TcpError::Refused }
    }

    /// Returns a port from which no connection begins; `None` if none was found.
    fn free_port(&mut self) -> Option<u16> {
        (0..TRIES).find_map(|attempt| {
            let hash = self.key.hash(&[self.next_number, attempt, u32::MAX]);
            let port = FIRST_PORT + (hash % PORTS) as u16;
            let port_of =
                |slot: &Slot| self.sockets.get::<Socket<'_>>(slot.handle).local_endpoint().map(|own| own.port);
            let is_taken = self.slots.iter().any(|slot| port_of(slot) == Some(port))
                || self.listeners.iter().any(|listener| listener.port == port);
            (!is_taken).then_some(port)
        })
    }
}
