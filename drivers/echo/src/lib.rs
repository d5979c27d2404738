//! Answers ARP, pings, and the echo service of UDP, on the card of a driver.

#![no_std]
#![forbid(unsafe_code)]

mod answer;

use bareflow_abi::parameters::Text;
use bareflow_abi::shared::SharedBytes;
use bareflow_abi::{CallError, Context, Failure, Out, module, parameters, state};
use bareflow_events::Events;
use bareflow_nic::{Buffer, Completion, Nic, NicError};
use bareflow_regions::{Access, Regions};
use smoltcp::wire::{EthernetAddress, Ipv4Address};

/// The buffers, each of half a page. The card has all to receive into at first; an answer lies in that of its question.
const BUFFERS: u32 = 48;
const BUFFER_BYTES: u32 = 2048;

/// The most answers that the card has to send. What it has sent is collected when something comes, so it always has some buffers
/// to receive into, too.
const SENDING: u32 = BUFFERS - 8;

/// The most frames that are handled at once.
const BATCH: usize = 32;

parameters! {
    /// The settings.
    pub struct Settings {
        /// The address, of IPv4; by default that on QEMU's user network.
        pub address: Text<15> = Text::new("10.0.2.15"),
    }
}

state! {
    /// The use of the card, and what was answered.
    pub struct Echo {
        /// The region with the buffers; 0 before it is set up.
        region: u32 = 0,
        /// The memory's number at the card.
        memory: u32 = 0,
        /// The card's address.
        mac: [u8; 6] = [0; 6],
        /// The address to answer for.
        ip: [u8; 4] = [0; 4],
        /// The answers that the card has.
        sending: u32 = 0,
        /// The frames that came, and that were answered.
        frames: u64 = 0,
        answers: u64 = 0,
        /// The restarts of the driver.
        restarts: u64 = 0,
    }
}

module!(
    parameters = Settings,
    state = Echo,
    imports = { nic: Nic, regions: Regions, events: Events },
    exports = [counts],
    timers = { on_start: 0 },
    subscriptions = { on_received: "nic.received" },
    init = begin,
);

/// Forgets the regions of another version, which are gone. Refuses an address that is none of a host's.
fn begin(_: &mut Context<'_>, echo: &mut Echo, mut with: Imports<'_>) -> i32 {
    let Ok(address) = Settings::get().address.as_str().parse::<Ipv4Address>() else { return -1 };
    if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
        return -1;
    }
    echo.ip = address.octets();
    echo.region = 0;
    with.events.after(Event::ON_START, 0).map_or(-1, |()| 0)
}

fn on_start(_: &mut Context<'_>, echo: &mut Echo, mut with: Imports<'_>) -> i32 {
    serve(echo, &mut with)
}

fn on_received(_: &mut Context<'_>, echo: &mut Echo, mut with: Imports<'_>) -> i32 {
    serve(echo, &mut with)
}

/// Writes the frames that came and that were answered, and how often the driver was started again.
fn counts(context: &mut Context<'_>, echo: &mut Echo) -> i32 {
    for count in [echo.frames, echo.answers, echo.restarts] {
        context.write(&count.to_le_bytes());
    }
    0
}

/// Answers what came. Returns the number of answers, or the negative number of an error.
fn serve(echo: &mut Echo, with: &mut Imports<'_>) -> i32 {
    let mut all = 0;
    loop {
        match set_up(echo, with).and_then(|()| answer_some(echo, with)) {
            Ok((BATCH, answers)) => all += answers,
            Ok((_, answers)) => return all + answers,
            Err(NicError::Ended | NicError::Call(CallError::Restarted)) => echo.forget(with),
            Err(error) => return -(error.number() as i32),
        }
    }
}

impl Echo {
    /// Frees the buffers, of which a driver that was started again knows nothing.
    fn forget(&mut self, with: &mut Imports<'_>) {
        self.restarts += 1;
        destroy(core::mem::take(&mut self.region), with);
    }
}

/// Frees buffers that no driver uses.
fn destroy(region: u32, with: &mut Imports<'_>) {
    // It may be lent to no one any more, as the driver that had it is gone.
    _ = with.regions.take_back(region);
    _ = with.regions.destroy(region);
}

/// Gives the card a region and buffers to receive into, unless it has them.
fn set_up(echo: &mut Echo, with: &mut Imports<'_>) -> Result<(), NicError> {
    if echo.region != 0 {
        return Ok(());
    }
    with.nic.begin(&mut echo.mac)?;
    let region = with.regions.create(u64::from(BUFFERS) * u64::from(BUFFER_BYTES)).map_err(|_| NicError::BadRegion)?;
    let given = give(region, echo, with);
    match given {
        Ok(()) => (echo.region, echo.sending) = (region, 0),
        Err(_) => destroy(region, with),
    }
    given
}

/// Gives the card a region, and buffers of it to receive into.
fn give(region: u32, echo: &mut Echo, with: &mut Imports<'_>) -> Result<(), NicError> {
    with.regions.lend(region, "nic", Access::Shared).map_err(|_| NicError::BadRegion)?;
    echo.memory = with.nic.attach(region)?;
    let buffers: [Buffer; BUFFERS as usize] =
        core::array::from_fn(|token| buffer(echo.memory, token as u16, BUFFER_BYTES));
    with.nic.receive(&buffers, &mut Out::new(&mut [])).map(|_| ())
}

/// A few buffers, of frames that came and of as many that were sent.
struct Buffers {
    all: [Buffer; 2 * BATCH],
    count: usize,
}

impl Buffers {
    fn new() -> Buffers {
        Buffers { all: [Buffer::default(); 2 * BATCH], count: 0 }
    }

    fn push(&mut self, buffer: Buffer) {
        if let Some(place) = self.all.get_mut(self.count) {
            *place = buffer;
            self.count += 1;
        }
    }

    fn all(&self) -> &[Buffer] {
        &self.all[..self.count]
    }

    /// Returns the first ones, `count` at the most.
    fn first(&self, count: usize) -> &[Buffer] {
        &self.all[..self.count.min(count)]
    }
}

/// Returns the buffer that a token names.
const fn buffer(memory: u32, token: u16, length: u32) -> Buffer {
    Buffer { memory, offset: token as u32 * BUFFER_BYTES, length, token, flags: 0 }
}

/// Answers up to a batch of frames. Returns how many came, and how many answers there were.
fn answer_some(echo: &mut Echo, with: &mut Imports<'_>) -> Result<(usize, i32), NicError> {
    let mut came = [Completion::default(); BATCH];
    let mut came = Out::new(&mut came);
    with.nic.receive(&[], &mut came)?;
    let (mut answers, mut empty) = (Buffers::new(), Buffers::new());
    let view = with.regions.shared(echo.region).map_err(|_| NicError::BadRegion)?;
    for done in came.written() {
        match answer_one(view.bytes(), *done, echo) {
            Some(length) => answers.push(buffer(echo.memory, done.token, length)),
            None => empty.push(buffer(echo.memory, done.token, BUFFER_BYTES)),
        }
    }
    drop(view);
    let mut sent = [Completion::default(); BATCH];
    let mut sent = Out::new(&mut sent);
    if echo.sending + answers.count as u32 > SENDING {
        with.nic.send(&[], &mut sent)?;
        echo.sending = echo.sending.saturating_sub(sent.written().len() as u32);
    }
    let before = sent.written().len();
    let taken = with.nic.send(answers.first(SENDING.saturating_sub(echo.sending) as usize), &mut sent)?;
    echo.sending = (echo.sending + taken).saturating_sub((sent.written().len() - before) as u32);
    // A buffer that was sent receives again. What the card has no room for is dropped, as any network does.
    let dropped = answers.all().iter().skip(taken as usize).map(|dropped| dropped.token);
    for token in sent.written().iter().map(|done| done.token).chain(dropped) {
        empty.push(buffer(echo.memory, token, BUFFER_BYTES));
    }
    if !empty.all().is_empty() {
        with.nic.receive(empty.all(), &mut Out::new(&mut []))?;
    }
    echo.frames += came.written().len() as u64;
    echo.answers += u64::from(taken);
    Ok((came.written().len(), taken as i32))
}

/// Makes the answer to a frame in its place. Returns its length.
fn answer_one(bytes: SharedBytes<'_>, done: Completion, echo: &Echo) -> Option<u32> {
    let mut frame = [0; BUFFER_BYTES as usize];
    let frame = frame.get_mut(..done.length as usize)?;
    let bytes = bytes.buffer(done.token.into(), BUFFER_BYTES as usize)?;
    bytes.read(0, frame).ok()?;
    let length = answer::answer(frame, EthernetAddress(echo.mac), echo.ip.into())?;
    bytes.write(0, frame.get(..length)?).ok()?;
    Some(length as u32)
}
