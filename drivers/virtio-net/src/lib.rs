//! Drives virtio's network card (OASIS, Virtual I/O Device 1.2, 5.1), for whoever uses the interface `nic`.
//!
//! A frame is never looked at: its buffer goes on to the device, behind a header in memory of the driver's own.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{Context, Failure, Out, module, state};
use bareflow_device::{Buffer, Completion, Device, DeviceError, Virtio};
use bareflow_events::Events;
use bareflow_nic::{MAX_FRAME_BYTES, Nic, NicError};
use bareflow_regions::Regions;

/// The card, as the module declares it.
const CARD: u32 = 0;

/// The queues (5.1.2), and the descriptors of each. A frame takes two.
const RECEIVE: u32 = 0;
const TRANSMIT: u32 = 1;
const QUEUE_SIZE: u32 = 128;

/// The feature that the card has an address (5.1.3), and the length of that.
const MAC: u64 = 1 << 5;
const ADDRESS_BYTES: usize = 6;

/// The length of the header before a frame (5.1.6), and the places of those of frames that are received and sent: all of
/// the former may be written to the same place, since nothing is read from it, and the latter are zeros.
const HEADER_BYTES: u32 = 12;
const RECEIVED_HEADER: u32 = 0;
const SENT_HEADER: u32 = 64;

/// The most frames that are passed on at once.
const BATCH: usize = 32;

state! {
    /// The card's state.
    pub struct Card {
        /// Whether it runs.
        is_running: bool = false,
        /// Whether it has a user, and the number of that module.
        has_user: bool = false,
        user: u32 = 0,
        /// Whether the user gave it memory, and whether there may be frames of each queue in it of before the card was started.
        is_used: bool = false,
        is_resumed: [bool; 2] = [false; 2],
        /// The region with the headers, which is another one at each start, and the number of its memory.
        region: u32 = 0,
        headers: u32 = 0,
        /// The address.
        address: [u8; 6] = [0; 6],
        /// The frames that were received and sent.
        frames: [u64; 2] = [0; 2],
    }
}

module!(
    state = Card,
    imports = { device: Device, virtio: Virtio, regions: Regions, events: Events },
    exports = [Nic, net_init, packet_handler],
    provider = Driver,
    interrupts = { on_interrupt: 0 },
    notifications = [received],
    init = forget,
);

/// A state that another version left is of a card that was reset since, and of a region that went with it.
fn forget(_: &mut Context<'_>, card: &mut Card) -> i32 {
    (card.is_running, card.has_user, card.region) = (false, false, 0);
    0
}

/// Starts the card. Returns 0, or the number of an error.
fn net_init(_: &mut Context<'_>, card: &mut Card, mut with: Imports<'_>) -> i32 {
    start(card, &mut with).map_or_else(|error| error.number() as i32, |()| 0)
}

/// Tells users that there may be frames. Returns the number of users, or a negative one.
fn packet_handler(_: &mut Context<'_>, _: &mut Card, mut with: Imports<'_>) -> i32 {
    with.events.notify(Notification::RECEIVED).map_or(-1, |users| users as i32)
}

/// Called when the module gets the card, and at each interrupt.
fn on_interrupt(_: &mut Context<'_>, card: &mut Card, mut with: Imports<'_>) -> i32 {
    if let Err(error) = start(card, &mut with) {
        return -(error.number() as i32);
    }
    with.events.notify(Notification::RECEIVED).map_or(-1, |users| users as i32)
}

/// Starts the card, unless it runs.
fn start(card: &mut Card, with: &mut Imports<'_>) -> Result<(), DeviceError> {
    if card.is_running {
        return Ok(());
    }
    // From here on the card has another region or none, and users are told of a new start.
    _ = with.regions.destroy(core::mem::take(&mut card.region));
    with.device.open(CARD)?;
    let started = set_up(card, with);
    match started {
        Ok(()) => card.is_running = true,
        Err(_) => _ = with.device.close(CARD),
    }
    started
}

/// Starts the card anew. It has no user then.
fn start_anew(card: &mut Card, with: &mut Imports<'_>) -> Result<(), DeviceError> {
    (card.is_running, card.has_user, card.is_used) = (false, false, false);
    // Open or not.
    _ = with.device.close(CARD);
    start(card, with)
}

fn set_up(card: &mut Card, with: &mut Imports<'_>) -> Result<(), DeviceError> {
    let Imports { device, virtio, regions, .. } = with;
    if virtio.negotiate(CARD, MAC)? & MAC == 0 {
        return Err(DeviceError::Features);
    }
    let mut address = [0; ADDRESS_BYTES];
    virtio.config(CARD, 0, &mut Out::new(&mut address))?;
    card.address = address;
    for queue in [RECEIVE, TRANSMIT] {
        virtio.queue(CARD, queue, QUEUE_SIZE)?;
    }
    // What was sent is collected when something is to be sent.
    virtio.interrupt(CARD, TRANSMIT, false)?;
    card.region = regions.create(u64::from(SENT_HEADER + HEADER_BYTES)).map_err(|_| DeviceError::NoMemory)?;
    card.headers = device.attach(CARD, card.region)?;
    virtio.start(CARD)?;
    device.listen(CARD)
}

impl Driver<'_> {
    /// Returns whether the card has a user, who is the caller.
    fn check_user(&self) -> Result<bool, NicError> {
        match self.state.has_user {
            true if self.state.user != self.context.caller() => Err(NicError::NotYours),
            has_user => Ok(has_user),
        }
    }

    /// Starts the card anew if it was closed, or broke the rules. Returns the error.
    fn mend(&mut self, error: DeviceError) -> DeviceError {
        match error {
            DeviceError::NotOpen | DeviceError::Broken => {
                start_anew(self.state, &mut self.imports).err().unwrap_or(error)
            }
            _ => error,
        }
    }

    /// Gives frames to a queue, each behind a header. Returns how many it took.
    fn submit(&mut self, queue: u32, frames: &[Buffer], offset: u32, flags: u16) -> Result<u32, NicError> {
        if !self.check_user()? {
            return Err(NicError::NotYours);
        }
        let header =
            Buffer { memory: self.state.headers, offset, length: HEADER_BYTES, token: 0, flags: flags | Buffer::NEXT };
        let mut taken = 0;
        for frames in frames.chunks(BATCH) {
            let mut buffers = [header; 2 * BATCH];
            for (two, frame) in buffers.chunks_exact_mut(2).zip(frames) {
                // The headers are no user's.
                if frame.memory == self.state.headers {
                    return if taken > 0 { Ok(taken) } else { Err(NicError::BadBuffer) };
                }
                two[0].token = frame.token;
                two[1] = Buffer { flags, ..*frame };
            }
            match self.imports.virtio.submit(CARD, queue, &buffers[..2 * frames.len()]) {
                Ok(count) if count as usize == 2 * frames.len() => taken += count / 2,
                Ok(count) => return Ok(taken + count / 2),
                // The card has those before.
                Err(_) if taken > 0 => break,
                Err(error) => return Err(self.mend(error).into()),
            }
        }
        Ok(taken)
    }

    /// Collects frames of a queue. Returns whether there was room for all.
    fn collect(&mut self, queue: u32, into: &mut Out<'_, Completion>) -> Result<bool, NicError> {
        if !self.check_user()? {
            return Ok(false);
        }
        let mut all = [Completion::default(); BATCH];
        while into.remaining() > 0 {
            let room = into.remaining().min(BATCH);
            let mut out = Out::new(&mut all[..room]);
            let is_resumed = self.state.is_resumed[queue as usize];
            let collected = match is_resumed {
                true => self.imports.virtio.leftovers(CARD, queue, &mut out),
                false => self.imports.virtio.collect(CARD, queue, &mut out).map(|_| ()),
            };
            if let Err(error) = collected {
                // What is told is that the card was started anew.
                return match self.mend(error) {
                    DeviceError::NotOpen | DeviceError::Broken => Ok(false),
                    error => Err(error.into()),
                };
            }
            let found = out.written();
            for done in found {
                into.push(Completion { length: done.length.saturating_sub(HEADER_BYTES), ..*done });
            }
            self.state.frames[queue as usize] += found.len() as u64;
            if found.len() < room {
                self.state.is_resumed[queue as usize] = false;
                if !is_resumed {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl Nic for Driver<'_> {
    fn begin(&mut self, address: &mut [u8]) -> Result<u32, NicError> {
        if address.len() != ADDRESS_BYTES {
            return Err(NicError::BadLength);
        }
        // What a user gave the card before goes.
        if self.state.is_used || !self.state.is_running {
            start_anew(self.state, &mut self.imports)?;
        }
        (self.state.has_user, self.state.user) = (true, self.context.caller());
        address.copy_from_slice(&self.state.address);
        Ok(self.state.region)
    }

    fn attach(&mut self, region: u32) -> Result<u32, NicError> {
        if !self.check_user()? {
            return Err(NicError::NotYours);
        }
        // One that another module lent is not the caller's to name.
        if self.imports.regions.lender(region) != Ok(self.state.user) {
            return Err(NicError::BadRegion);
        }
        let memory = self.imports.device.attach(CARD, region).map_err(|error| self.mend(error))?;
        (self.state.is_used, self.state.is_resumed) = (true, [true; 2]);
        Ok(memory)
    }

    fn receive(&mut self, buffers: &[Buffer]) -> Result<u32, NicError> {
        if buffers.iter().any(|buffer| buffer.length < MAX_FRAME_BYTES) {
            return Err(NicError::BadBuffer);
        }
        self.submit(RECEIVE, buffers, RECEIVED_HEADER, Buffer::WRITE)
    }

    fn received(&mut self, into: &mut Out<'_, Completion>) -> Result<u32, NicError> {
        if self.collect(RECEIVE, into)? {
            self.imports.device.listen(CARD)?;
        }
        Ok(self.state.region)
    }

    fn send(&mut self, frames: &[Buffer]) -> Result<u32, NicError> {
        self.submit(TRANSMIT, frames, SENT_HEADER, 0)
    }

    fn sent(&mut self, into: &mut Out<'_, Completion>) -> Result<(), NicError> {
        self.collect(TRANSMIT, into).map(|_| ())
    }
}
