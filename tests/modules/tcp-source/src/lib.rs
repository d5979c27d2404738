//! Sends a pattern to whoever connects, and checks what it receives against the same one. The word `n` of it, of 8 bytes and
//! little-endian, is `n` times a constant, so it can be told at any place.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{CallError, Context, Failure, Out, module, parameters, state};
use bareflow_events::Events;
use bareflow_tcp::{Ready, Tcp, TcpClient, TcpError};

/// The constant: 2 to the power of 64, divided by the golden ratio.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The most connections, and the bytes that are passed on at once: whole words.
const CONNECTIONS: usize = 8;
const CHUNK_BYTES: usize = 8192;

/// The chunks for each connection at each event.
const CHUNKS: usize = 16;

parameters! {
    /// The settings.
    pub struct Settings {
        /// The port.
        pub port: u16 = 80,
        /// The bytes that each connection gets.
        pub bytes: u64 = 1_048_576,
    }
}

state! {
    /// The connections.
    pub struct Source {
        /// The listener; 0 if there is none.
        listener: u32 = 0,
        /// The connections; 0 for none.
        numbers: [u32; CONNECTIONS] = [0; CONNECTIONS],
        /// The bytes that each was sent, and that it sent.
        sent: [u64; CONNECTIONS] = [0; CONNECTIONS],
        received: [u64; CONNECTIONS] = [0; CONNECTIONS],
        /// Whether each has finished.
        is_read: [bool; CONNECTIONS] = [false; CONNECTIONS],
        /// All bytes of connections that finished, and those of them that were others than they should have been.
        all: [u64; 2] = [0; 2],
        wrong: u64 = 0,
        /// The connections that finished, and those that failed.
        finished: u64 = 0,
        failed: u64 = 0,
    }
}

module!(
    parameters = Settings,
    state = Source,
    imports = { tcp: Tcp, events: Events },
    exports = [counts],
    timers = { on_timer: 0 },
    subscriptions = { on_ready: "tcpip.ready" },
    init = begin,
);

/// Forgets the connections of another version, which are gone with it.
fn begin(_: &mut Context<'_>, source: &mut Source, mut with: Imports<'_>) -> i32 {
    (source.listener, source.numbers) = (0, [0; CONNECTIONS]);
    with.events.after(Event::ON_TIMER, 0).map_or(-1, |()| 0)
}

fn on_timer(_: &mut Context<'_>, source: &mut Source, mut with: Imports<'_>) -> i32 {
    serve(source, &mut with)
}

fn on_ready(_: &mut Context<'_>, source: &mut Source, mut with: Imports<'_>) -> i32 {
    serve(source, &mut with)
}

/// Writes the bytes that were sent and received, those that were wrong, the connections that finished, and that failed.
fn counts(context: &mut Context<'_>, source: &mut Source) -> i32 {
    for count in [source.all[0], source.all[1], source.wrong, source.finished, source.failed] {
        context.write(&count.to_le_bytes());
    }
    0
}

/// Does what can be done. Returns 0, or the negative number of an error, after which it begins anew at the next event.
fn serve(source: &mut Source, with: &mut Imports<'_>) -> i32 {
    let mut done = source.serve(&mut with.tcp);
    if done == Err(TcpError::Call(CallError::Restarted)) {
        // The provider knows of nothing any more, and has said so once.
        source.listener = 0;
        done = source.serve(&mut with.tcp);
    }
    match done {
        // There may be more to do than fits into one event.
        Ok(is_cut) => i32::from(is_cut && with.events.after(Event::ON_TIMER, 0).is_err()),
        Err(error) => {
            source.listener = 0;
            -(error.number() as i32)
        }
    }
}

impl Source {
    /// Returns whether there is more to do.
    fn serve(&mut self, tcp: &mut TcpClient<'_>) -> Result<bool, TcpError> {
        if self.listener == 0 {
            tcp.begin()?;
            self.numbers = [0; CONNECTIONS];
            self.listener = tcp.listen(Settings::get().port, CONNECTIONS as u32)?;
        }
        let mut room = [Ready::default(); 2 * CONNECTIONS];
        let mut ready = Out::new(&mut room);
        tcp.ready(&mut ready)?;
        let mut is_cut = false;
        for ready in ready.written() {
            if let Some(place) = self.numbers.iter().position(|number| *number == ready.number) {
                is_cut |= self.advance(tcp, place)?;
            }
        }
        // Now there are all the places that there can be.
        if ready.written().iter().any(|ready| ready.can(Ready::ACCEPT)) {
            while let Some(place) = self.numbers.iter().position(|number| *number == 0) {
                match tcp.accept(self.listener) {
                    Ok(number) => self.numbers[place] = number,
                    Err(TcpError::NothingYet) => break,
                    Err(error) => return Err(error),
                }
                (self.sent[place], self.received[place], self.is_read[place]) = (0, 0, false);
                is_cut |= self.advance(tcp, place)?;
            }
        }
        Ok(is_cut)
    }

    /// Goes on with a connection. Returns whether there is more to do.
    fn advance(&mut self, tcp: &mut TcpClient<'_>, place: usize) -> Result<bool, TcpError> {
        match self.try_advance(tcp, place) {
            Err(TcpError::Reset | TcpError::Lost) => {
                self.failed += 1;
                tcp.abort(core::mem::take(&mut self.numbers[place]))?;
                Ok(false)
            }
            other => other,
        }
    }

    fn try_advance(&mut self, tcp: &mut TcpClient<'_>, place: usize) -> Result<bool, TcpError> {
        let is_cut = self.send(tcp, place)? | self.receive(tcp, place)?;
        if self.is_read[place] && self.sent[place] == Settings::get().bytes {
            self.finished += 1;
            self.all = [self.all[0] + self.sent[place], self.all[1] + self.received[place]];
            tcp.close(core::mem::take(&mut self.numbers[place]))?;
        }
        Ok(is_cut)
    }

    /// Sends what there is room for. Returns whether there may be more.
    fn send(&mut self, tcp: &mut TcpClient<'_>, place: usize) -> Result<bool, TcpError> {
        let (number, sent) = (self.numbers[place], &mut self.sent[place]);
        let mut chunk = [0; CHUNK_BYTES];
        for _ in 0..CHUNKS {
            let left = Settings::get().bytes - *sent;
            let chunk = &mut chunk[..left.min(CHUNK_BYTES as u64) as usize];
            fill(chunk, *sent);
            let taken = if left == 0 { 0 } else { tcp.send(number, chunk)? };
            *sent += u64::from(taken);
            if *sent == Settings::get().bytes {
                // What has finished may do so again.
                tcp.finish(number)?;
            }
            if (taken as usize) < chunk.len() || u64::from(taken) == left {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Receives what there is. Returns whether there may be more.
    fn receive(&mut self, tcp: &mut TcpClient<'_>, place: usize) -> Result<bool, TcpError> {
        let mut room = [0; CHUNK_BYTES];
        let mut wanted = [0; CHUNK_BYTES];
        for _ in 0..CHUNKS {
            let mut out = Out::new(&mut room);
            self.is_read[place] = tcp.receive(self.numbers[place], &mut out)?;
            let found = out.written();
            fill(&mut wanted[..found.len()], self.received[place]);
            self.wrong += found.iter().zip(&wanted).filter(|(found, wanted)| found != wanted).count() as u64;
            self.received[place] += found.len() as u64;
            if self.is_read[place] || found.len() < CHUNK_BYTES {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Fills a chunk with the pattern from an offset on.
fn fill(chunk: &mut [u8], offset: u64) {
    let skipped = (offset % 8) as usize;
    let (first, rest) = chunk.split_at_mut(chunk.len().min((8 - skipped) % 8));
    let word = |index: u64| index.wrapping_mul(STEP).to_le_bytes();
    first.iter_mut().zip(&word(offset / 8)[skipped..]).for_each(|(to, from)| *to = *from);
    for (index, target) in (offset.div_ceil(8)..).zip(rest.chunks_mut(8)) {
        target.copy_from_slice(&word(index)[..target.len()]);
    }
}
