//! TCP with clients in the same process: what they send waits, and what they are sent is kept.

use bareflow_abi::Out;
use bareflow_tcp::{Peer, Ready, Tcp, TcpError};

/// The clients, and what they share.
#[derive(Default)]
pub struct Clients {
    all: Vec<Client>,
    listeners: u32,
    /// The error that each call returns.
    pub error: Option<TcpError>,
}

#[derive(Default)]
struct Client {
    sent: Vec<u8>,
    has_finished: bool,
    got: Vec<u8>,
    /// The bytes that it still takes.
    room: usize,
    wants_room: bool,
    is_accepted: bool,
    is_closed: bool,
    is_reset: bool,
    /// Whether it went away by itself.
    is_lost: bool,
}

/// The number of the first connection: others than those of listeners.
const FIRST: u32 = 1000;

impl Clients {
    /// Adds a client that connects. Returns its number.
    pub fn connect(&mut self) -> usize {
        self.all.push(Client { room: usize::MAX, ..Client::default() });
        self.all.len() - 1
    }

    pub fn send(&mut self, client: usize, bytes: &[u8]) {
        self.all[client].sent.extend_from_slice(bytes);
    }

    pub fn finish(&mut self, client: usize) {
        self.all[client].has_finished = true;
    }

    pub fn lose(&mut self, client: usize) {
        self.all[client].is_lost = true;
    }

    pub fn room(&mut self, client: usize, bytes: usize) {
        self.all[client].room = bytes;
    }

    pub fn got(&self, client: usize) -> Vec<u8> {
        self.all[client].got.clone()
    }

    pub fn is_reset(&self, client: usize) -> bool {
        self.all[client].is_reset
    }

    pub fn is_closed(&self, client: usize) -> bool {
        self.all[client].is_closed
    }

    /// Returns the number of connections that are there.
    pub fn count(&self) -> usize {
        self.all.iter().filter(|client| client.is_there()).count()
    }

    fn of(&mut self, connection: u32) -> Result<&mut Client, TcpError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let client = connection.checked_sub(FIRST).and_then(|index| self.all.get_mut(index as usize));
        client.filter(|client| client.is_there()).ok_or(TcpError::NoSuchConnection)
    }
}

impl Client {
    fn is_there(&self) -> bool {
        self.is_accepted && !self.is_closed && !self.is_reset
    }
}

impl Tcp for Clients {
    fn begin(&mut self) -> Result<(), TcpError> {
        for client in self.all.iter_mut().filter(|client| client.is_there()) {
            client.is_reset = true;
        }
        self.error.map_or(Ok(()), Err)
    }

    fn listen(&mut self, port: u16, _: u32) -> Result<u32, TcpError> {
        assert_eq!(port, 80);
        self.listeners += 1;
        self.error.map_or(Ok(self.listeners), Err)
    }

    fn unlisten(&mut self, _: u32) -> Result<(), TcpError> {
        unreachable!()
    }

    fn accept(&mut self, listener: u32) -> Result<u32, TcpError> {
        assert_eq!(listener, self.listeners);
        let waiting = self.all.iter().position(|client| !client.is_accepted);
        let index = waiting.ok_or(TcpError::NothingYet)?;
        self.all[index].is_accepted = true;
        self.error.map_or(Ok(FIRST + index as u32), Err)
    }

    fn connect(&mut self, _: &Peer) -> Result<u32, TcpError> {
        unreachable!()
    }

    fn peer(&self, _: u32, _: &mut Peer) -> Result<(), TcpError> {
        unreachable!()
    }

    fn receive(&mut self, connection: u32, into: &mut Out<'_, u8>) -> Result<bool, TcpError> {
        let client = self.of(connection)?;
        if client.is_lost {
            return Err(TcpError::Reset);
        }
        let count = into.extend_from_slice(&client.sent);
        client.sent.drain(..count);
        Ok(client.sent.is_empty() && client.has_finished)
    }

    fn send(&mut self, connection: u32, bytes: &[u8]) -> Result<u32, TcpError> {
        let client = self.of(connection)?;
        if client.is_lost {
            return Err(TcpError::Reset);
        }
        let count = bytes.len().min(client.room);
        client.got.extend_from_slice(&bytes[..count]);
        client.room -= count;
        client.wants_room = count < bytes.len();
        Ok(count as u32)
    }

    fn finish(&mut self, _: u32) -> Result<(), TcpError> {
        unreachable!()
    }

    fn close(&mut self, connection: u32) -> Result<(), TcpError> {
        self.of(connection)?.is_closed = true;
        Ok(())
    }

    fn abort(&mut self, connection: u32) -> Result<(), TcpError> {
        self.of(connection)?.is_reset = true;
        Ok(())
    }

    fn ready(&mut self, into: &mut Out<'_, Ready>) -> Result<(), TcpError> {
        if self.all.iter().any(|client| !client.is_accepted) {
            into.push(Ready { number: self.listeners, what: Ready::ACCEPT });
        }
        for (number, client) in (FIRST..).zip(&self.all).filter(|(_, client)| client.is_there()) {
            let receive = !client.sent.is_empty() || client.has_finished;
            let send = client.wants_room && client.room > 0;
            let whats = [(receive, Ready::RECEIVE), (send, Ready::SEND), (client.is_lost, Ready::ENDED)];
            let what = whats.iter().filter_map(|(is_so, what)| is_so.then_some(what)).sum();
            if what != 0 {
                into.push(Ready { number, what });
            }
        }
        self.error.map_or(Ok(()), Err)
    }
}
