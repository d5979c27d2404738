//! The ways of segments through a stack to its user and back, and what each takes.

use core::fmt::Write;

use bareflow_abi::{Context, Out};
use bareflow_nic::Nic;
use bareflow_tcp::{Ready, Tcp};

use super::Trouble;
use super::card::MOST;
use super::peer::{HEADERS, PORT, Peer};
use super::runs::{fewest, pause, ticks};

/// The lengths of frames, in bytes: those of the least segments that smoltcp divides what it sends into, which have 48 bytes, and of
/// large ones.
const LENGTHS: [usize; 2] = [102, 1500];

/// The numbers of segments at a time.
const BATCHES: [usize; 2] = [1, MOST];

/// The bytes that the user sends or receives in one call.
const CHUNK_BYTES: usize = 8192;

/// The times that the stack is asked to work until it is done: more than it may wait before it acknowledges, 10 ms of a
/// machine with a billion instructions a second.
const LOOKS: usize = 20_000;

/// The user of the stack that is measured, and the other end of the wire.
pub struct Ends<'ends, 'call, T, N> {
    pub context: &'ends mut Context<'call>,
    pub tcp: &'ends mut T,
    pub peer: Peer<'ends, N>,
    /// The ticks of a call of a function of the stack by its name, if the function does little.
    by_name: u64,
}

impl<'ends, 'call, T: Tcp, N: Nic> Ends<'ends, 'call, T, N> {
    /// Makes them.
    pub fn new(context: &'ends mut Context<'call>, tcp: &'ends mut T, peer: Peer<'ends, N>) -> Self {
        Ends { context, tcp, peer, by_name: 0 }
    }

    fn call(&mut self, function: &str) -> Result<(), Trouble> {
        self.context.call(function, b"", &mut []).map(drop).map_err(Trouble::Call)
    }

    /// Lets the stack do what it does when the driver tells it of a frame.
    fn on_received(&mut self) -> Result<(), Trouble> {
        self.call("tcpip.on_received")
    }

    /// Lets the stack do what it does when its timer is due.
    fn on_timer(&mut self) -> Result<(), Trouble> {
        self.call("tcpip.on_timer")
    }

    /// Returns what work takes in which functions of the stack are called `calls` times by their names, less what those calls
    /// take by themselves: in use they are events.
    fn ticks<R>(
        &mut self,
        calls: u64,
        work: impl FnOnce(&mut Self) -> Result<R, Trouble>,
    ) -> Result<(u64, R), Trouble> {
        let (taken, done) = ticks(|| work(self))?;
        Ok((taken.saturating_sub(calls * self.by_name), done))
    }

    /// Lets both ends work until something is so. Returns what the stack took for what made it so; 0 if it was before.
    fn until(&mut self, what: &'static str, is_so: impl Fn(&Peer<'ends, N>) -> bool) -> Result<u64, Trouble> {
        let mut taken = 0;
        for _ in 0..LOOKS {
            if is_so(&self.peer) {
                return Ok(taken);
            }
            (taken, ()) = self.ticks(1, Self::on_timer)?;
            pause();
            self.peer.receive()?;
        }
        Err(Trouble::Never(what))
    }

    /// Connects. Returns the connection's number.
    fn connect(&mut self, listener: u32, payload: usize) -> Result<u32, Trouble> {
        self.peer.connect(payload)?;
        self.until("the stack answered no SYN", Peer::is_answered)?;
        self.peer.acknowledge()?;
        pause();
        self.on_received()?;
        Ok(self.tcp.accept(listener)?)
    }

    /// Lets the stack receive, and reads up to so many bytes, as any user does that was told of them; after that the stack looks at
    /// once whether the other side is to be told of the room. Returns how many there were.
    fn read(&mut self, number: u32, most: usize) -> Result<usize, Trouble> {
        self.on_received()?;
        let mut room = [Ready::default()];
        self.tcp.ready(&mut Out::new(&mut room))?;
        let mut left = most;
        let mut chunk = [0; CHUNK_BYTES];
        while left > 0 {
            let mut out = Out::new(&mut chunk[..left.min(CHUNK_BYTES)]);
            self.tcp.receive(number, &mut out)?;
            match out.written().len() {
                0 => break,
                read => left -= read,
            }
        }
        self.on_timer()?;
        Ok(most - left)
    }

    /// Repeats a step that returns a number of bytes until there are as many as were sent.
    fn complete(
        &mut self,
        what: &'static str,
        (mut came, all): (usize, usize),
        mut step: impl FnMut(&mut Self, usize) -> Result<usize, Trouble>,
    ) -> Result<(), Trouble> {
        for _ in 0..LOOKS {
            if came == all {
                return Ok(());
            }
            pause();
            came += step(self, all - came)?;
        }
        Err(Trouble::Never(what))
    }

    /// Returns what segments take in, to the user, with the acknowledgement that goes out at the same time or later; `None` if they
    /// were not all there when the stack looked.
    fn receive(&mut self, number: u32, payload: usize, count: usize) -> Result<Option<u64>, Trouble> {
        let all = count * payload;
        self.peer.send(count)?;
        pause();
        let (read, first) = self.ticks(2, |ends| ends.read(number, all))?;
        self.complete("the user received less than was sent", (first, all), |ends, left| ends.read(number, left))?;
        self.peer.receive()?;
        let acknowledged = self.until("the stack did not acknowledge all that was sent", Peer::is_acknowledged)?;
        Ok((first == all).then_some(read + acknowledged))
    }

    /// Returns what segments take out, from the user, with their acknowledgement by one that comes in; `None` if they did not all go
    /// out at once.
    fn send(&mut self, number: u32, payload: usize, count: usize) -> Result<Option<u64>, Trouble> {
        let bytes = [7; CHUNK_BYTES];
        let all = count * payload;
        let (out, ()) = self.ticks(1, |ends| {
            let mut left = all;
            while left > 0 {
                match ends.tcp.send(number, &bytes[..left.min(CHUNK_BYTES)])? {
                    0 => return Err(Trouble::Never("the stack took no bytes to send")),
                    taken => left -= taken as usize,
                }
            }
            ends.on_timer()
        })?;
        pause();
        let first = self.peer.receive()?;
        self.complete("the peer received less than was sent", (first, all), |ends, _| {
            ends.on_timer()?;
            pause();
            ends.peer.receive()
        })?;
        self.peer.acknowledge()?;
        pause();
        let (acknowledged, ()) = self.ticks(1, Self::on_received)?;
        Ok((first == all).then_some(out + acknowledged))
    }

    /// Writes a line for each way.
    pub fn measure(&mut self) -> Result<(), Trouble> {
        self.by_name = fewest(|| ticks(|| self.call("tcpip.card_starts")).map(|(taken, ())| Some(taken)))?;
        self.peer.ask()?;
        self.until("the stack has no hardware address", Peer::knows_stack)?;
        self.tcp.begin()?;
        let listener = self.tcp.listen(PORT, 1)?;
        for length in LENGTHS {
            let payload = length - HEADERS;
            let number = self.connect(listener, payload)?;
            for count in BATCHES {
                let each = count as u64;
                let received = fewest(|| self.receive(number, payload, count))? / each;
                let sent = fewest(|| self.send(number, payload, count))? / each;
                writeln!(self.context, "{length} bytes, {count} at a time: {received} in, {sent} out")
                    .map_err(|_| Trouble::Never("there is no room in the output"))?;
            }
            self.tcp.abort(number)?;
        }
        Ok(())
    }
}
