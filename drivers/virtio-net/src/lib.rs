//! Drives virtio's network card (OASIS, Virtual I/O Device 1.2, 5.1), for whoever uses the interface `nic`.
//!
//! A frame is never looked at: its buffer goes on to the device, behind a header in memory of the driver's own.
//!
//! ```text
//! lib.rs     the module: its state, its events, and the interface
//! start.rs   the card's start
//! frames.rs  the frames that are passed on
//! ```

#![no_std]
#![forbid(unsafe_code)]

mod frames;
mod start;

use bareflow_abi::{Context, Failure, Out, module, state};
use bareflow_device::{Buffer, Completion, Device, DeviceError, Virtio};
use bareflow_events::Events;
use bareflow_nic::{Nic, NicError, User, check_empty, check_frames};
use bareflow_regions::Regions;

use start::{start, start_anew};

/// The card, as the module declares it.
const CARD: u32 = 0;

/// The queues (5.1.2).
const RECEIVE: u32 = 0;
const TRANSMIT: u32 = 1;

/// The length of the card's address.
const ADDRESS_BYTES: usize = 6;

state! {
    /// The card's state.
    pub struct Card {
        /// Whether it runs.
        is_running: bool = false,
        /// Who uses it.
        user: User = User::INITIAL,
        /// Whether there may be frames of each queue in the user's memory of before the card was started.
        is_resumed: [bool; 2] = [false; 2],
        /// The region with the headers, and the number of its memory.
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
    (card.is_running, card.region) = (false, 0);
    card.user.forget();
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

impl Driver<'_> {
    /// Starts the card anew if it was closed, or broke the rules. Returns the error for its user.
    fn mend(&mut self, error: DeviceError) -> NicError {
        match error {
            DeviceError::NotOpen | DeviceError::Broken => {
                start_anew(self.state, &mut self.imports).map_or_else(NicError::from, |()| NicError::Ended)
            }
            _ => error.into(),
        }
    }
}

impl Nic for Driver<'_> {
    fn begin(&mut self, address: &mut [u8]) -> Result<(), NicError> {
        if address.len() != ADDRESS_BYTES {
            return Err(NicError::BadLength);
        }
        // What a user gave the card before goes.
        if self.state.user.has_memory() || !self.state.is_running {
            start_anew(self.state, &mut self.imports)?;
        }
        self.state.user.set(self.context.caller());
        address.copy_from_slice(&self.state.address);
        Ok(())
    }

    fn attach(&mut self, region: u32) -> Result<u32, NicError> {
        self.state.user.check_lender(self.context.caller(), self.imports.regions.lender(region))?;
        let memory = self.imports.device.attach(CARD, region).map_err(|error| self.mend(error))?;
        self.state.user.give_memory();
        self.state.is_resumed = [true; 2];
        Ok(memory)
    }

    fn receive(&mut self, empty: &[Buffer], into: &mut Out<'_, Completion>) -> Result<u32, NicError> {
        self.state.user.check(self.context.caller())?;
        check_empty(empty)?;
        self.exchange(RECEIVE, empty, into)
    }

    fn send(&mut self, frames: &[Buffer], into: &mut Out<'_, Completion>) -> Result<u32, NicError> {
        self.state.user.check(self.context.caller())?;
        check_frames(frames)?;
        self.exchange(TRANSMIT, frames, into)
    }
}
