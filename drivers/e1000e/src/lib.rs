//! Drives Intel's network card 82574L (Intel, 82574 GbE Controller Family Datasheet, 3.4), for whoever uses the interface `nic`.
//!
//! The rings of descriptors lie in a region of the driver's own; frames lie in its user's, by addresses that the kernel tells,
//! and are never looked at. What the card writes to a ring is compared with what it was given.
//!
//! The code is its own: the crates for this family (`e1000-driver`) want memory by pointers and physical addresses of a
//! kernel's, which a module has not, are `unsafe` throughout, believe the card, and are under the GPL.
//!
//! ```text
//! lib.rs        the module: its state, its events, and the interface
//! registers.rs  the card's registers
//! start.rs      the card's start
//! frames.rs     the frames that are passed on
//! ring.rs       a ring of descriptors
//! ```

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod frames;
mod registers;
mod ring;
#[cfg(test)]
mod ring_tests;
mod start;

use bareflow_abi::{Context, Failure, Out, module, state};
use bareflow_device::{Buffer, Completion, Device, DeviceError};
use bareflow_events::Events;
use bareflow_nic::{Nic, NicError, User, check_empty, check_frames};
use bareflow_regions::Regions;

use ring::{Kind, Ring};
use start::{start, start_anew};

/// The card, as the module declares it.
const CARD: u32 = 0;

/// The length of the card's address.
const ADDRESS_BYTES: usize = 6;

state! {
    /// The card's state.
    pub struct Card {
        /// Whether it runs.
        is_running: bool = false,
        /// Who uses it.
        user: User = User::INITIAL,
        /// The region with the rings, and the number of its memory.
        region: u32 = 0,
        memory: u32 = 0,
        /// The frames that are received, and those that are sent.
        receiving: Ring = Ring::INITIAL,
        sending: Ring = Ring::INITIAL,
        /// The address.
        address: [u8; ADDRESS_BYTES] = [0; ADDRESS_BYTES],
        /// The frames that were received and sent.
        frames: [u64; 2] = [0; 2],
    }
}

module!(
    state = Card,
    imports = { device: Device, regions: Regions, events: Events },
    exports = [Nic],
    provider = Driver,
    interrupts = { on_interrupt: 0 },
    notifications = [received],
    init = forget,
);

/// A state that another version left is of a card that was closed since, and of a region that went with it.
fn forget(_: &mut Context<'_>, card: &mut Card) -> i32 {
    (card.is_running, card.region) = (false, 0);
    card.user.forget();
    0
}

/// Called when the module gets the card, and at each interrupt.
fn on_interrupt(_: &mut Context<'_>, card: &mut Card, mut with: Imports<'_>) -> i32 {
    if let Err(error) = start(card, &mut with) {
        return -(error.number() as i32);
    }
    with.events.notify(Notification::RECEIVED).map_or(-1, |users| users as i32)
}

impl Driver<'_> {
    /// Starts the card anew if it was closed. Returns the error for its user.
    fn mend(&mut self, error: DeviceError) -> NicError {
        match error {
            DeviceError::NotOpen => self.restart(),
            _ => error.into(),
        }
    }

    /// Starts the card anew. Returns the error for its user.
    fn restart(&mut self) -> NicError {
        start_anew(self.state, &mut self.imports).map_or_else(NicError::from, |()| NicError::Ended)
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
        Ok(memory)
    }

    fn receive(&mut self, empty: &[Buffer], into: &mut Out<'_, Completion>) -> Result<u32, NicError> {
        self.state.user.check(self.context.caller())?;
        check_empty(empty)?;
        self.exchange(Kind::Receive, empty, into)
    }

    fn send(&mut self, frames: &[Buffer], into: &mut Out<'_, Completion>) -> Result<u32, NicError> {
        self.state.user.check(self.context.caller())?;
        check_frames(frames)?;
        self.exchange(Kind::Send, frames, into)
    }
}
