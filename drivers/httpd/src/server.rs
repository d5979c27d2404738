//! The server: a listener, and places for connections, of which some have their turn at each event.

use bareflow_abi::{CallError, Out};
use bareflow_report::Report;
use bareflow_store::Store;
use bareflow_tcp::{Ready, Tcp, TcpError};

use crate::connection::{Connection, Turn};
use crate::surroundings::Surroundings;

/// The most connections, and those of them that wait to be accepted.
pub const PLACES: usize = 16;
const BACKLOG: u32 = 8;

/// The steps of an event, and the connections that are accepted at one.
pub const STEPS: u32 = 2;
const AT_ONCE: usize = 2;

/// The server.
pub struct Server {
    /// The listener; 0 if there is none.
    listener: u32,
    connections: [Connection; PLACES],
    /// The place that had the last turn.
    last: usize,
}

/// The settings that the server needs.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub port: u16,
    /// The time for a head, in microseconds.
    pub head_us: u64,
}

impl Server {
    pub const fn new() -> Server {
        Server { listener: 0, connections: [const { Connection::FREE }; PLACES], last: 0 }
    }

    /// Does some of what can be done. Returns the time until there is more, in microseconds; `None` if only news of TCP makes
    /// some.
    ///
    /// # Errors
    /// Those of TCP itself, after which it begins anew at the next event.
    pub fn serve<T: Tcp, R: Report, S: Store>(
        &mut self,
        config: Config,
        with: &mut Surroundings<'_, T, R, S>,
    ) -> Result<Option<u64>, TcpError> {
        let mut done = self.try_serve(config, with);
        if done == Err(TcpError::Call(CallError::Restarted)) {
            // TCP knows of nothing any more, and has said so once.
            self.listener = 0;
            done = self.try_serve(config, with);
        }
        if done.is_err() {
            self.listener = 0;
        }
        done
    }

    fn try_serve<T: Tcp, R: Report, S: Store>(
        &mut self,
        config: Config,
        with: &mut Surroundings<'_, T, R, S>,
    ) -> Result<Option<u64>, TcpError> {
        if self.listener == 0 {
            with.tcp.begin()?;
            self.connections.iter_mut().for_each(|connection| connection.begin(0, 0));
            self.listener = with.tcp.listen(config.port, BACKLOG)?;
        }
        let may_accept = self.note_ready(with)?;
        self.give_up(config, with)?;
        self.take_turns(with)?;
        let next_accept_us = if may_accept { self.accept(with)? } else { None };
        let used = self.connections.iter().filter(|connection| connection.number != 0);
        let next = |of: &Connection| if of.is_due { with.now_us } else { of.ends_us(config.head_us) };
        let next_us = used.map(next).chain(next_accept_us).min();
        Ok(next_us.map(|next_us| next_us.saturating_sub(with.now_us)))
    }

    /// Notes which connections can be gone on with. Returns whether one can be accepted.
    fn note_ready<T: Tcp, R, S>(&mut self, with: &mut Surroundings<'_, T, R, S>) -> Result<bool, TcpError> {
        let mut room = [Ready::default(); PLACES + 1];
        let mut ready = Out::new(&mut room);
        with.tcp.ready(&mut ready)?;
        for ready in ready.written() {
            if let Some(own) = self.connections.iter_mut().find(|connection| connection.number == ready.number) {
                own.is_due |= own.can_go_on(*ready);
            }
        }
        Ok(ready.written().iter().any(|ready| ready.number == self.listener && ready.can(Ready::ACCEPT)))
    }

    /// Ends what has taken too long.
    fn give_up<T: Tcp, R, S>(&mut self, config: Config, with: &mut Surroundings<'_, T, R, S>) -> Result<(), TcpError> {
        for connection in &mut self.connections {
            if connection.number != 0 && connection.ends_us(config.head_us) <= with.now_us {
                let turn = connection.give_up(with);
                settle(connection, turn, with)?;
            }
        }
        Ok(())
    }

    /// Gives those their turn that are due, the one behind the last first.
    fn take_turns<T: Tcp, R: Report, S: Store>(
        &mut self,
        with: &mut Surroundings<'_, T, R, S>,
    ) -> Result<(), TcpError> {
        let first = self.last + 1;
        for place in (first..first + PLACES).map(|place| place % PLACES) {
            if with.steps == 0 {
                break;
            }
            if self.connections[place].number != 0 && self.connections[place].is_due {
                self.last = place;
                self.take_turn(place, with)?;
            }
        }
        Ok(())
    }

    fn take_turn<T: Tcp, R: Report, S: Store>(
        &mut self,
        place: usize,
        with: &mut Surroundings<'_, T, R, S>,
    ) -> Result<(), TcpError> {
        let connection = &mut self.connections[place];
        let turn = connection.advance(with);
        settle(connection, turn, with)
    }

    /// Accepts connections, and gives each its first turn. Returns the time to go on, when there may be more or a place for
    /// the next one; `None` if no more wait.
    fn accept<T: Tcp, R: Report, S: Store>(
        &mut self,
        with: &mut Surroundings<'_, T, R, S>,
    ) -> Result<Option<u64>, TcpError> {
        for _ in 0..AT_ONCE {
            let Some(place) = self.free_place(with.now_us) else {
                // TCP does not tell again of one that waits.
                return Ok(self.connections.iter().map(Connection::gives_way_us).min());
            };
            let number = match with.tcp.accept(self.listener) {
                Ok(number) => number,
                Err(TcpError::NothingYet) => return Ok(None),
                Err(error) => return Err(error),
            };
            let before = core::mem::take(&mut self.connections[place].number);
            if before != 0 {
                forget(before, with)?;
            }
            self.connections[place].begin(number, with.now_us);
            self.take_turn(place, with)?;
        }
        Ok(Some(with.now_us))
    }

    /// Returns a place for a connection: a free one, or that of the one that gives way first.
    fn free_place(&self, now_us: u64) -> Option<usize> {
        let free = self.connections.iter().position(|connection| connection.number == 0);
        free.or_else(|| {
            let old = self.connections.iter().enumerate();
            let old = old.filter(|(_, connection)| connection.gives_way_us() <= now_us);
            old.min_by_key(|(_, connection)| connection.precedence()).map(|(place, _)| place)
        })
    }
}

/// Notes what became of a connection's turn.
fn settle<T: Tcp, R, S>(
    connection: &mut Connection,
    turn: Result<Turn, TcpError>,
    with: &mut Surroundings<'_, T, R, S>,
) -> Result<(), TcpError> {
    match turn {
        Ok(Turn::Waits) => connection.is_due = false,
        Ok(Turn::Again | Turn::Later) => connection.is_due = true,
        Ok(Turn::Ended) => connection.begin(0, with.now_us),
        Err(TcpError::Reset | TcpError::Lost | TcpError::Refused | TcpError::NoSuchConnection) => {
            let number = connection.number;
            connection.begin(0, with.now_us);
            forget(number, with)?;
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Forgets a connection at once.
fn forget<T: Tcp, R, S>(number: u32, with: &mut Surroundings<'_, T, R, S>) -> Result<(), TcpError> {
    match with.tcp.abort(number) {
        Err(error @ TcpError::Call(_)) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "server_tests/mod.rs"]
mod tests;
