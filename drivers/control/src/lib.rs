//! Passes the kernel's channel on to clients that come by TCP: one link of the channel for each connection.
//!
//! What passes is not looked at. The kernel takes no request from a client before its token has come.

#![no_std]
#![forbid(unsafe_code)]

mod error;
mod pair;

use bareflow_abi::{CallError, Context, module, parameters, state};
use bareflow_channel::{Channel, ChannelError};
use bareflow_events::Events;
use bareflow_tcp::{Tcp, TcpError};

use error::Error;
use pair::{Pair, Pumped};

/// The most clients at a time, which is the kernel's own limit.
const CLIENTS: usize = 8;

/// The places for clients: each new one may take that of another in the kernel, which is still known here until then.
const PLACES: usize = 2 * CLIENTS;

/// The time after which it tries again what it could not do, in microseconds.
const AGAIN_US: u64 = 1_000_000;

/// The most clients whose bytes are passed on at one event.
const AT_ONCE: usize = 3;

parameters! {
    /// The settings.
    pub struct Settings {
        /// The port.
        pub port: u16 = 7777,
    }
}

state! {
    /// The clients.
    pub struct Clients {
        /// Whether the two sides know of this module.
        is_set_up: bool = false,
        /// The listener.
        listener: u32 = 0,
        /// The places that are in use, and the connection and the link of each.
        in_use: [bool; PLACES] = [false; PLACES],
        connections: [u32; PLACES] = [0; PLACES],
        links: [u32; PLACES] = [0; PLACES],
        /// Those for which there may be something to pass on, and the place whose turn was last.
        is_due: [bool; PLACES] = [false; PLACES],
        turn: u32 = 0,
        /// The error that the log tells of; 0 if clients were taken since.
        trouble: i32 = 0,
    }
}

module!(
    parameters = Settings,
    state = Clients,
    imports = { tcp: Tcp, channel: Channel, events: Events },
    timers = { on_start: 0 },
    subscriptions = { on_ready: "tcpip.ready", on_channel: "kernel.channel" },
    init = begin,
);

fn begin(_: &mut Context<'_>, _: &mut Clients, mut with: Imports<'_>) -> i32 {
    with.events.after(Event::ON_START, 0).map_or(-1, |()| 0)
}

fn on_start(context: &mut Context<'_>, clients: &mut Clients, mut with: Imports<'_>) -> i32 {
    serve(context, clients, &mut with)
}

fn on_ready(context: &mut Context<'_>, clients: &mut Clients, mut with: Imports<'_>) -> i32 {
    clients.is_due = clients.in_use;
    serve(context, clients, &mut with)
}

fn on_channel(context: &mut Context<'_>, clients: &mut Clients, mut with: Imports<'_>) -> i32 {
    clients.is_due = clients.in_use;
    serve(context, clients, &mut with)
}

/// Passes on what came on either side, and tries again later if one of them does not let it. Returns the number of clients, or
/// the negative number of an error: that of TCP, or that of the channel behind 1,000.
fn serve(context: &mut Context<'_>, clients: &mut Clients, with: &mut Imports<'_>) -> i32 {
    let (done, trouble) = match clients.serve(with) {
        Ok(turned_away) => (clients.in_use.iter().filter(|in_use| **in_use).count() as i32, turned_away),
        Err(error) => {
            // An error is the timer's, which is there.
            _ = with.events.after(Event::ON_START, AGAIN_US);
            (error.number(), Some(error))
        }
    };
    if let Some(error) = trouble.filter(|error| error.number() != clients.trouble) {
        clients.trouble = error.number();
        if let Some(text) = error.text() {
            context.log(text);
        }
    }
    done
}

impl Clients {
    /// Passes on what came. Returns why a client was turned away, if one was.
    fn serve(&mut self, with: &mut Imports<'_>) -> Result<Option<Error>, Error> {
        let mut done = self.set_up(with).and_then(|()| self.pass_all(with));
        // Each of the two sides may have been started again, and knows nothing of this module then.
        for _ in 0..2 {
            match done {
                Err(
                    Error::Tcp(TcpError::Call(CallError::Restarted) | TcpError::NoSuchListener)
                    | Error::Channel(ChannelError::Call(CallError::Restarted)),
                ) => self.is_set_up = false,
                _ => break,
            }
            done = self.set_up(with).and_then(|()| self.pass_all(with));
        }
        done
    }

    fn set_up(&mut self, with: &mut Imports<'_>) -> Result<(), Error> {
        if self.is_set_up {
            return Ok(());
        }
        (self.in_use, self.is_due) = ([false; PLACES], [false; PLACES]);
        with.channel.begin()?;
        with.tcp.begin()?;
        self.listener = with.tcp.listen(Settings::get().port, CLIENTS as u32)?;
        self.is_set_up = true;
        Ok(())
    }

    fn pass_all(&mut self, with: &mut Imports<'_>) -> Result<Option<Error>, Error> {
        let turned_away = self.accept_all(with)?;
        let mut left = AT_ONCE;
        for _ in 0..PLACES {
            self.turn = (self.turn + 1) % PLACES as u32;
            let number = self.turn as usize;
            if !self.is_due[number] {
                continue;
            }
            let pair = Pair { connection: self.connections[number], link: self.links[number] };
            match pair.pump(with)? {
                Pumped::All => self.is_due[number] = false,
                Pumped::More => {}
                Pumped::Ended => (self.in_use[number], self.is_due[number]) = (false, false),
            }
            left -= 1;
            if left == 0 {
                break;
            }
        }
        if self.is_due.contains(&true) {
            // An error is the timer's, which is there.
            _ = with.events.after(Event::ON_START, 0);
        }
        Ok(turned_away)
    }

    /// Takes the clients that wait. Those for whom there is no link are turned away, and why that is is returned.
    fn accept_all(&mut self, with: &mut Imports<'_>) -> Result<Option<Error>, Error> {
        let mut turned_away = None;
        for _ in 0..CLIENTS {
            // Without a place they wait until it is known which of the others have ended.
            let Some(free) = self.in_use.iter().position(|in_use| !in_use) else { break };
            let connection = match with.tcp.accept(self.listener) {
                Ok(connection) => connection,
                Err(TcpError::NothingYet) => break,
                Err(error) => return Err(error.into()),
            };
            match with.channel.open() {
                Ok(link) => {
                    (self.in_use[free], self.is_due[free]) = (true, true);
                    (self.connections[free], self.links[free]) = (connection, link);
                    self.trouble = 0;
                }
                Err(error) => {
                    with.tcp.abort(connection)?;
                    // All links may be in use, also by others.
                    if error != ChannelError::TooMany {
                        return Err(error.into());
                    }
                    turned_away = Some(error.into());
                }
            }
        }
        Ok(turned_away)
    }
}
