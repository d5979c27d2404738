//! Sends back what it receives, until the other side has finished.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{CallError, Context, Failure, Out, module, parameters, state};
use bareflow_events::Events;
use bareflow_tcp::{Ready, Tcp, TcpClient, TcpError};

/// The most connections, and the bytes that wait at each to be sent back.
const CONNECTIONS: usize = 8;
const BYTES: usize = 2048;

parameters! {
    /// The settings.
    pub struct Settings {
        /// The port.
        pub port: u16 = 7,
    }
}

state! {
    /// The connections.
    pub struct Echo {
        /// The listener; 0 if there is none.
        listener: u32 = 0,
        /// The connections; 0 for none.
        numbers: [u32; CONNECTIONS] = [0; CONNECTIONS],
        /// The bytes that each is to be sent, from `start` on, and its length.
        waiting: [[u8; BYTES]; CONNECTIONS] = [[0; BYTES]; CONNECTIONS],
        start: [u32; CONNECTIONS] = [0; CONNECTIONS],
        end: [u32; CONNECTIONS] = [0; CONNECTIONS],
        /// All bytes that were sent back.
        all: u64 = 0,
    }
}

module!(
    parameters = Settings,
    state = Echo,
    imports = { tcp: Tcp, events: Events },
    exports = [counts],
    timers = { on_timer: 0 },
    subscriptions = { on_ready: "tcpip.ready" },
    init = begin,
);

/// Forgets the connections of another version, which end with it.
fn begin(_: &mut Context<'_>, echo: &mut Echo, mut with: Imports<'_>) -> i32 {
    echo.listener = 0;
    with.events.after(Event::ON_TIMER, 0).map_or(-1, |()| 0)
}

fn on_timer(_: &mut Context<'_>, echo: &mut Echo, mut with: Imports<'_>) -> i32 {
    serve(echo, &mut with)
}

fn on_ready(_: &mut Context<'_>, echo: &mut Echo, mut with: Imports<'_>) -> i32 {
    serve(echo, &mut with)
}

/// Writes how many bytes were sent back.
fn counts(context: &mut Context<'_>, echo: &mut Echo) -> i32 {
    context.write(&echo.all.to_le_bytes());
    0
}

/// Does what can be done. Returns 0, or the negative number of an error, after which it begins anew at the next event.
fn serve(echo: &mut Echo, with: &mut Imports<'_>) -> i32 {
    let mut done = echo.serve(&mut with.tcp);
    if done == Err(TcpError::Call(CallError::Restarted)) {
        // The provider knows of nothing any more, and has said so once.
        echo.listener = 0;
        done = echo.serve(&mut with.tcp);
    }
    done.map_or_else(
        |error| {
            echo.listener = 0;
            -(error.number() as i32)
        },
        |()| 0,
    )
}

impl Echo {
    fn serve(&mut self, tcp: &mut TcpClient<'_>) -> Result<(), TcpError> {
        if self.listener == 0 {
            tcp.begin()?;
            self.numbers = [0; CONNECTIONS];
            self.listener = tcp.listen(Settings::get().port, CONNECTIONS as u32)?;
        }
        let mut room = [Ready::default(); 2 * CONNECTIONS];
        let mut ready = Out::new(&mut room);
        tcp.ready(&mut ready)?;
        for ready in ready.written() {
            if let Some(place) = self.numbers.iter().position(|number| *number == ready.number) {
                self.advance(tcp, place)?;
            }
        }
        // Now there are all the places that there can be.
        if ready.written().iter().any(|ready| ready.can(Ready::ACCEPT)) { self.accept(tcp) } else { Ok(()) }
    }

    /// Accepts connections as long as there are places.
    fn accept(&mut self, tcp: &mut TcpClient<'_>) -> Result<(), TcpError> {
        while let Some(place) = self.numbers.iter().position(|number| *number == 0) {
            match tcp.accept(self.listener) {
                Ok(number) => (self.numbers[place], self.start[place], self.end[place]) = (number, 0, 0),
                Err(TcpError::NothingYet) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Goes on with a connection, and forgets it at its end.
    fn advance(&mut self, tcp: &mut TcpClient<'_>, place: usize) -> Result<(), TcpError> {
        match self.send_back(tcp, place) {
            Ok(false) => Ok(()),
            Ok(true) => tcp.close(core::mem::take(&mut self.numbers[place])),
            Err(TcpError::Reset | TcpError::Lost) => tcp.abort(core::mem::take(&mut self.numbers[place])),
            Err(error) => Err(error),
        }
    }

    /// Sends back what came, as far as there is room for it. Returns whether that was all.
    fn send_back(&mut self, tcp: &mut TcpClient<'_>, place: usize) -> Result<bool, TcpError> {
        let (number, waiting) = (self.numbers[place], &mut self.waiting[place]);
        let (start, end) = (&mut self.start[place], &mut self.end[place]);
        loop {
            if start < end {
                let taken = tcp.send(number, &waiting[*start as usize..*end as usize])?;
                *start += taken;
                self.all += u64::from(taken);
                if start < end {
                    // There is news of this connection when there is room.
                    return Ok(false);
                }
            }
            let mut out = Out::new(waiting);
            let is_all = tcp.receive(number, &mut out)?;
            (*start, *end) = (0, out.written().len() as u32);
            if *end == 0 {
                return Ok(is_all);
            }
        }
    }
}
