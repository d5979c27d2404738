//! The stack: smoltcp's, with a fixed number of connections, which belong to the callers that made them.
//!
//! ```text
//! slots.rs      the sockets, and what each is used for
//! listeners.rs  the listeners: one socket of each waits for the next connection
//! calls.rs      what callers ask for
//! ready.rs      what they are told of
//! owners.rs     the callers that have something, and their end
//! config.rs     the settings of a stack
//! kept.rs       the part that outlasts a stack
//! ```

mod calls;
mod config;
mod kept;
mod listeners;
mod owners;
mod ready;
mod slots;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::vec::Vec;

use smoltcp::iface::{Interface, PollIngressSingleResult, PollResult, SocketSet};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};

use crate::Kept;
use crate::port::{Copies, Frames, NoFrames, Port};
use crate::sequence::Key;
pub use config::Config;
use listeners::Listener;
use owners::Owners;
use slots::Slot;

/// The most listeners, and the most connections that the parameters may ask for.
pub const LISTENERS: usize = 16;
pub const MOST_CONNECTIONS: usize = 128;

/// The frames that are received, and those that are sent, at most, at once.
const BATCH: usize = 32;

/// The least time after which the stack is polled again when it could do nothing.
pub const PAUSE: Duration = Duration::from_millis(1);

/// A stack.
pub struct Stack {
    config: Config,
    interface: Interface,
    sockets: SocketSet<'static>,
    slots: Vec<Slot>,
    listeners: Vec<Listener>,
    owners: Owners,
    /// The connections of a stack that this one replaces, with their owners.
    lost: Vec<(u32, u32)>,
    /// The number that a listener or a connection gets next.
    next_number: u32,
    /// Counts what sockets were used for, so the oldest is known, and the time of the last poll.
    clock: u64,
    now: Instant,
    /// The slot at which the next list of what is ready begins.
    first_ready: usize,
    /// Whether callers changed something since the last poll, and whether in what is kept.
    is_due: bool,
    is_changed: bool,
    /// Whether there is something that callers were not told of.
    is_news: bool,
    copies: Box<Copies>,
    key: Key,
}

impl Stack {
    /// Makes a stack, with the listeners of one before. Returns `None` if there is no memory for it.
    pub fn new(config: Config, kept: &Kept) -> Option<Stack> {
        let placeholder = HardwareAddress::Ethernet(EthernetAddress([2, 0, 0, 0, 0, 0]));
        let mut own = smoltcp::iface::Config::new(placeholder);
        let [first, second, seed] = config.secret;
        own.random_seed = seed;
        let (key, mut copies) = (Key([first, second]), Box::new(Copies::new()));
        let mut port = Port { frames: &mut NoFrames, copies: &mut copies, key };
        let mut interface = Interface::new(own, &mut port, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            _ = addresses.push(IpCidr::new(config.address.into(), config.prefix));
        });
        if let Some(gateway) = config.gateway {
            interface.routes_mut().add_default_ipv4_route(gateway).ok()?;
        }
        let (sockets, slots) = slots::make(config.connections, config.receive_bytes, config.send_bytes)?;
        let mut stack = Stack {
            config,
            interface,
            sockets,
            slots,
            listeners: reserved(LISTENERS)?,
            owners: Owners::new()?,
            lost: reserved(MOST_CONNECTIONS)?,
            next_number: kept.next_number.max(1),
            clock: 0,
            now: Instant::ZERO,
            first_ready: 0,
            is_due: true,
            is_changed: true,
            // Users of a stack that was restarted are to find that out.
            is_news: true,
            copies,
            key,
        };
        stack.take_over(kept);
        Some(stack)
    }

    /// Sets the address of the card, which was started anew. Returns whether it is that of a single card.
    pub fn set_card(&mut self, address: [u8; 6]) -> bool {
        let address = EthernetAddress(address);
        let is_one = address.is_unicast() && address.0 != [0; 6];
        if is_one {
            self.interface.set_hardware_addr(HardwareAddress::Ethernet(address));
        }
        is_one
    }

    /// Receives and sends up to a batch of frames. Returns the time until the next poll, unless a frame comes before.
    pub fn poll(&mut self, now: Instant, frames: &mut impl Frames) -> Option<Duration> {
        (self.is_due, self.now) = (false, now);
        self.replenish();
        let mut is_cut = true;
        for _ in 0..BATCH {
            if self.receive_one(now, frames) == PollIngressSingleResult::None {
                is_cut = false;
                break;
            }
            self.replenish();
        }
        let is_told = self.look_after_owners(now);
        self.tidy(now);
        self.close_full();
        self.replenish();
        let mut is_idle = false;
        for _ in 0..BATCH {
            let mut port = Port { frames, copies: &mut self.copies, key: self.key };
            if self.interface.poll_egress(now, &mut port, &mut self.sockets) == PollResult::None {
                is_idle = true;
                break;
            }
        }
        self.is_news |= self.find_news() | is_told;
        if is_cut || !is_idle { Some(Duration::ZERO) } else { self.wanted(now) }
    }

    fn receive_one(&mut self, now: Instant, frames: &mut impl Frames) -> PollIngressSingleResult {
        let mut port = Port { frames, copies: &mut self.copies, key: self.key };
        self.interface.poll_ingress_single(now, &mut port, &mut self.sockets)
    }

    /// Returns the time until something is to be done, which can't be at once, as all of that was.
    fn wanted(&mut self, now: Instant) -> Option<Duration> {
        let sockets = self.interface.poll_delay(now, &self.sockets);
        let own = [self.owners.check_at(), self.next_end()].into_iter().flatten().min();
        let own = own.map(|at| if at > now { at - now } else { Duration::ZERO });
        [sockets, own].into_iter().flatten().min().map(|delay| delay.max(PAUSE))
    }

    /// Returns whether there is something that callers were not told of, and takes it as told.
    pub fn take_news(&mut self) -> bool {
        core::mem::take(&mut self.is_news)
    }

    /// Returns whether callers changed something since the last poll.
    pub fn is_due(&self) -> bool {
        self.is_due
    }

    /// Returns a number that was not in use before.
    fn new_number(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number = number.checked_add(1).unwrap_or(1);
        self.is_changed = true;
        number
    }
}

/// Returns an empty list with room; `None` if there is no memory.
fn reserved<T>(count: usize) -> Option<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(count).ok()?;
    Some(list)
}
