//! A client: its connection, and its link of the channel.

use bareflow_abi::Out;
use bareflow_channel::{Channel, ChannelError};
use bareflow_tcp::{Tcp, TcpError};

use crate::Imports;
use crate::error::Error;

/// The bytes that are passed on at once, and how often in a row: an event has 5 ms, and other clients wait.
const PIECE: usize = 4096;
const PIECES: usize = 2;

/// A connection and its link.
#[derive(Clone, Copy)]
pub struct Pair {
    pub connection: u32,
    pub link: u32,
}

/// The state of a pair after its bytes were passed on.
pub enum Pumped {
    /// All that could be was passed on.
    All,
    /// There is more.
    More,
    /// One of its sides has ended.
    Ended,
}

impl Pair {
    /// Passes on what came on either side.
    pub fn pump(self, with: &mut Imports<'_>) -> Result<Pumped, Error> {
        let done = self.pass_in(with).and_then(|came| Ok((came, self.pass_out(with)?)));
        match done {
            Ok((came @ (Pumped::All | Pumped::More), Pumped::All)) => Ok(came),
            Ok((Pumped::All | Pumped::More, Pumped::More)) => Ok(Pumped::More),
            Ok(_) => self.end(with),
            // One of the two sides is not there, which is no matter of this client.
            Err(error @ (Error::Tcp(TcpError::Call(_)) | Error::Channel(ChannelError::Call(_)))) => Err(error),
            Err(_) => self.end(with),
        }
    }

    /// Passes on what came from the client, as far as there is room for it.
    fn pass_in(self, with: &mut Imports<'_>) -> Result<Pumped, Error> {
        let mut room = with.channel.put(self.link, &[])? as usize;
        for _ in 0..PIECES {
            let mut piece = [0; PIECE];
            let Some(piece) = piece.get_mut(..room.min(PIECE)).filter(|piece| !piece.is_empty()) else {
                return Ok(Pumped::All);
            };
            let mut piece = Out::new(piece);
            let has_finished = with.tcp.receive(self.connection, &mut piece)?;
            if !piece.written().is_empty() {
                room = with.channel.put(self.link, piece.written())? as usize;
            } else if has_finished {
                return Ok(Pumped::Ended);
            } else {
                return Ok(Pumped::All);
            }
        }
        Ok(Pumped::More)
    }

    /// Passes on what the kernel answered, as far as the connection takes it.
    fn pass_out(self, with: &mut Imports<'_>) -> Result<Pumped, Error> {
        let mut sent = 0;
        for _ in 0..PIECES {
            let mut piece = [0; PIECE];
            let mut piece = Out::new(&mut piece);
            with.channel.take(self.link, sent, &mut piece)?;
            if piece.written().is_empty() {
                return Ok(Pumped::All);
            }
            sent = with.tcp.send(self.connection, piece.written())?;
            if (sent as usize) < piece.written().len() {
                with.channel.take(self.link, sent, &mut Out::new(&mut []))?;
                return Ok(Pumped::All);
            }
        }
        with.channel.take(self.link, sent, &mut Out::new(&mut []))?;
        Ok(Pumped::More)
    }

    /// Ends both sides. What was passed on before still goes out.
    fn end(self, with: &mut Imports<'_>) -> Result<Pumped, Error> {
        // One that is gone already has ended, too.
        if let Err(ChannelError::Call(error)) = with.channel.close(self.link) {
            return Err(ChannelError::Call(error).into());
        }
        if let Err(TcpError::Call(error)) = with.tcp.close(self.connection) {
            return Err(TcpError::Call(error).into());
        }
        Ok(Pumped::Ended)
    }
}
