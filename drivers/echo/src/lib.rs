//! Answers ARP, pings, and the echo service of UDP, on the card of a driver.

#![no_std]
#![forbid(unsafe_code)]

mod answer;

use bareflow_abi::parameters::Text;
use bareflow_abi::shared::SharedBytes;
use bareflow_abi::{CallError, Context, Failure, Out, module, parameters, state};
use bareflow_events::Events;
use bareflow_nic::{Buffer, Completion, Nic, NicError};
use bareflow_regions::{Access, RegionError, Regions};
use smoltcp::wire::{EthernetAddress, Ipv4Address};

/// The buffers, each of half a page, and those that the card has for what it receives at first.
const BUFFERS: u32 = 96;
const RECEIVING: u16 = 48;
const BUFFER_BYTES: u32 = 2048;

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
    /// The link to the card.
    pub struct Link {
        /// The region with the buffers; 0 before it is set up.
        region: u32 = 0,
        /// The number of the card's start that knows of it.
        start: u32 = 0,
        /// The memory's number at the card.
        memory: u32 = 0,
        /// The card's address.
        mac: [u8; 6] = [0; 6],
        /// The address to answer for.
        ip: [u8; 4] = [0; 4],
        /// The frames that came, and that were answered.
        frames: u64 = 0,
        answers: u64 = 0,
        /// The restarts of the driver.
        restarts: u64 = 0,
    }
}

module!(
    parameters = Settings,
    state = Link,
    imports = { nic: Nic, regions: Regions, events: Events },
    exports = [counts],
    timers = { on_start: 0 },
    subscriptions = { on_received: "virtio-net.received" },
    init = begin,
);

/// Forgets the regions of another version, which are gone. Refuses an address that is none of a host's.
fn begin(_: &mut Context<'_>, link: &mut Link, mut with: Imports<'_>) -> i32 {
    let Ok(address) = Settings::get().address.as_str().parse::<Ipv4Address>() else { return -1 };
    if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
        return -1;
    }
    link.ip = address.octets();
    link.region = 0;
    with.events.after(Event::ON_START, 0).map_or(-1, |()| 0)
}

fn on_start(_: &mut Context<'_>, link: &mut Link, mut with: Imports<'_>) -> i32 {
    serve(link, &mut with)
}

fn on_received(_: &mut Context<'_>, link: &mut Link, mut with: Imports<'_>) -> i32 {
    serve(link, &mut with)
}

/// Writes the frames that came and that were answered, and how often the driver was started again.
fn counts(context: &mut Context<'_>, link: &mut Link) -> i32 {
    for count in [link.frames, link.answers, link.restarts] {
        context.write(&count.to_le_bytes());
    }
    0
}

/// Answers what came. Returns the number of answers, or the negative number of an error.
fn serve(link: &mut Link, with: &mut Imports<'_>) -> i32 {
    let mut all = 0;
    loop {
        match set_up(link, with).and_then(|()| answer_some(link, with)) {
            Ok((BATCH, answers)) => all += answers,
            Ok((_, answers)) => return all + answers,
            Err(NicError::Call(CallError::Restarted)) => link.forget(with),
            Err(error) => return -(error.number() as i32),
        }
    }
}

impl Link {
    /// Frees the buffers, of which a driver that was started again knows nothing.
    fn forget(&mut self, with: &mut Imports<'_>) {
        self.restarts += 1;
        // It may be lent to no one any more, as the driver that had it is gone.
        _ = with.regions.take_back(self.region);
        _ = with.regions.destroy(self.region);
        self.region = 0;
    }
}

/// Gives the card a region and buffers to receive into, unless it has them.
fn set_up(link: &mut Link, with: &mut Imports<'_>) -> Result<(), NicError> {
    if link.region != 0 {
        return Ok(());
    }
    link.start = with.nic.begin(&mut link.mac)?;
    let created = with.regions.create(u64::from(BUFFERS * BUFFER_BYTES));
    let region = created.and_then(|region| with.regions.lend(region, "virtio-net", Access::Shared).map(|()| region));
    let region = region.map_err(|_: RegionError| NicError::BadRegion)?;
    link.region = region;
    link.memory = with.nic.attach(region)?;
    let buffers: [Buffer; RECEIVING as usize] =
        core::array::from_fn(|token| buffer(link.memory, token as u16, BUFFER_BYTES));
    with.nic.receive(&buffers).map(|_| ())
}

/// Returns the buffer that a token names.
const fn buffer(memory: u32, token: u16, length: u32) -> Buffer {
    Buffer { memory, offset: token as u32 * BUFFER_BYTES, length, token, flags: 0 }
}

/// Answers up to a batch of frames. Returns how many came, and how many answers there were.
fn answer_some(link: &mut Link, with: &mut Imports<'_>) -> Result<(usize, i32), NicError> {
    let (mut sent, mut came) = ([Completion::default(); BATCH], [Completion::default(); BATCH]);
    // A buffer that was sent receives again.
    let mut free = [Buffer::default(); 2 * BATCH];
    let mut free_count = 0;
    let mut sent = Out::new(&mut sent);
    with.nic.sent(&mut sent)?;
    let mut came = Out::new(&mut came);
    let start = with.nic.received(&mut came)?;
    if link.start != start {
        link.forget(with);
        return Ok((BATCH, 0));
    }
    let mut answers = [Buffer::default(); BATCH];
    let mut count = 0;
    let view = with.regions.shared(link.region).map_err(|_| NicError::BadRegion)?;
    for done in came.written() {
        match answer_one(view.bytes(), *done, link) {
            Some(length) => {
                answers[count] = buffer(link.memory, done.token, length);
                count += 1;
            }
            None => {
                free[free_count] = buffer(link.memory, done.token, BUFFER_BYTES);
                free_count += 1;
            }
        }
    }
    drop(view);
    for done in sent.written() {
        free[free_count] = buffer(link.memory, done.token, BUFFER_BYTES);
        free_count += 1;
    }
    let taken = if count == 0 { 0 } else { with.nic.send(&answers[..count])? };
    // What the card has no room for is dropped, as any network does.
    for dropped in &answers[taken as usize..count] {
        free[free_count] = buffer(link.memory, dropped.token, BUFFER_BYTES);
        free_count += 1;
    }
    if free_count > 0 {
        with.nic.receive(&free[..free_count])?;
    }
    link.frames += came.written().len() as u64;
    link.answers += u64::from(taken);
    Ok((came.written().len(), taken as i32))
}

/// Makes the answer to a frame in its place. Returns its length.
fn answer_one(bytes: SharedBytes<'_>, done: Completion, link: &Link) -> Option<u32> {
    let mut frame = [0; BUFFER_BYTES as usize];
    let frame = frame.get_mut(..done.length as usize)?;
    let bytes = bytes.buffer(done.token.into(), BUFFER_BYTES as usize)?;
    bytes.read(0, frame).ok()?;
    let length = answer::answer(frame, EthernetAddress(link.mac), link.ip.into())?;
    bytes.write(0, frame.get(..length)?).ok()?;
    Some(length as u32)
}
