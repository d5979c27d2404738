//! TCP over IPv4: smoltcp on a network card, for whoever uses the interface `tcp`.
//!
//! ```text
//! lib.rs        the module: its settings, its events
//! server.rs     the interface
//! hosts.rs      the addresses of the settings
//! card/         the card's end: frames in shared memory
//! port.rs       the card, as smoltcp sees it
//! sequence.rs   sequence numbers that no one can guess
//! stack/        the stack, with listeners and connections of several callers
//! ```

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod card;
mod hosts;
mod port;
mod sequence;
mod server;
mod stack;

use alloc::format;
use alloc::string::String;

use bareflow_abi::parameters::Text;
use bareflow_abi::{CallError, Context, Failure, module, parameters, state};
use bareflow_events::Events;
use bareflow_nic::{Nic, NicError};
use bareflow_random::Random;
use bareflow_regions::Regions;
use bareflow_tcp::Tcp;
use smoltcp::time::{Duration, Instant};
use spinning_top::Spinlock;

use crate::card::Session;
use crate::port::NoFrames;
use crate::stack::{Config, LISTENERS, MOST_CONNECTIONS, PAUSE, Stack};

/// The time between two polls while there is no card, and the time for which one that another module took is left to it.
const WITHOUT_CARD: Duration = Duration::from_millis(100);
const TAKEN: Duration = Duration::from_secs(1);

parameters! {
    /// The settings.
    pub struct Settings {
        /// The address, of IPv4; by default that on QEMU's user network.
        pub address: Text<15> = Text::new("10.0.2.15"),
        /// The length of the network's prefix, in bits.
        #[range(1..=30)]
        pub prefix: u8 = 24,
        /// The way to other networks; "none" if there is none.
        pub gateway: Text<15> = Text::new("10.0.2.2"),
        /// The most connections at a time.
        #[range(2..=128)]
        pub connections: u32 = 32,
        /// The size of the buffer in which a connection receives, in KiB.
        #[range(2..=1024)]
        pub receive_kib: u32 = 64,
        /// The size of the buffer from which a connection sends, in KiB.
        #[range(2..=1024)]
        pub send_kib: u32 = 64,
    }
}

state! {
    /// The part of the stack that outlasts a reload.
    pub struct Kept {
        /// The number that a listener or a connection gets next.
        pub next_number: u32 = 1,
        /// The listeners: number, owner, port and backlog.
        pub listeners: [[u32; 4]; LISTENERS] = [[0; 4]; LISTENERS],
        /// The connections: number and owner.
        pub connections: [[u32; 2]; MOST_CONNECTIONS] = [[0; 2]; MOST_CONNECTIONS],
    }
}

module!(
    parameters = Settings,
    state = Kept,
    imports = { nic: Nic, regions: Regions, random: Random, events: Events },
    exports = [Tcp, card_starts],
    provider = Server,
    timers = { on_timer: 0 },
    subscriptions = { on_received: "nic.received" },
    notifications = [ready],
    init = begin,
);

/// All that lives from call to call, and ends with the image.
struct Living {
    stack: Option<Stack>,
    card: Session,
    /// Whether the timer is due at once.
    is_armed: bool,
    /// The time until which another module is left the card, and how often one took it.
    taken_until: Instant,
    taken: u32,
}

static LIVING: Spinlock<Living> =
    Spinlock::new(Living { stack: None, card: Session::new(), is_armed: false, taken_until: Instant::ZERO, taken: 0 });

/// Makes the stack. Refuses settings that can't be.
fn begin(context: &mut Context<'_>, kept: &mut Kept, mut with: Imports<'_>) -> i32 {
    let config = match config(&with) {
        Ok(config) => config,
        Err(problem) => {
            context.log(&problem);
            return -1;
        }
    };
    let Some(stack) = Stack::new(config, kept) else {
        context.log("the heap has no room for so many connections with such buffers");
        return -2;
    };
    let mut living = LIVING.lock();
    living.stack = Some(stack);
    living.is_armed = true;
    with.events.after(Event::ON_TIMER, 0).map_or(-3, |()| 0)
}

/// Returns what the stack is made from, or why it can't be.
fn config(with: &Imports<'_>) -> Result<Config, String> {
    let settings = Settings::get();
    let (address, gateway) = hosts::parse(settings.address.as_str(), settings.prefix, settings.gateway.as_str())?;
    let mut secret = [0; 3];
    for number in &mut secret {
        let drawn = with.random.next_u64();
        *number = drawn.map_err(|error| format!("there is no random number: {error:?}"))?;
    }
    Ok(Config {
        address,
        prefix: settings.prefix,
        gateway,
        connections: settings.connections as usize,
        receive_bytes: settings.receive_kib as usize * 1024,
        send_bytes: settings.send_kib as usize * 1024,
        secret,
    })
}

fn on_timer(context: &mut Context<'_>, kept: &mut Kept, mut with: Imports<'_>) -> i32 {
    LIVING.lock().is_armed = false;
    serve(context, kept, &mut with)
}

fn on_received(context: &mut Context<'_>, kept: &mut Kept, mut with: Imports<'_>) -> i32 {
    serve(context, kept, &mut with)
}

/// Writes how often the card was set up.
fn card_starts(context: &mut Context<'_>) -> i32 {
    context.write(&LIVING.lock().card.starts.to_le_bytes());
    0
}

/// Receives and sends what there is. Returns 0, or the negative number of the card's error.
fn serve(context: &mut Context<'_>, kept: &mut Kept, with: &mut Imports<'_>) -> i32 {
    let living = &mut *LIVING.lock();
    let Living { stack: Some(stack), card, is_armed, taken_until, taken } = living else { return 0 };
    let Ok(now) = with.events.now() else { return 0 };
    let now = Instant::from_micros(now as i64);
    let mut error = 0;
    let next = if now < *taken_until {
        stack.poll(now, &mut NoFrames)
    } else {
        let exchanged = match exchange(stack, card, with, now) {
            // The driver was replaced, or started the card anew, and one call says so.
            Err(ended @ (NicError::Call(CallError::Restarted) | NicError::Ended)) => {
                card.end(ended);
                exchange(stack, card, with, now)
            }
            exchanged => exchanged,
        };
        exchanged.unwrap_or_else(|failed| {
            error = -(failed.number() as i32);
            card.end(failed);
            if failed == NicError::NotYours {
                *taken_until = now + TAKEN;
                *taken = taken.saturating_add(1);
                // Two that take it from each other do so each second.
                if taken.is_power_of_two() {
                    context.log(&format!(
                        "another module took the card, {taken} times so far; it is taken back after a second"
                    ));
                }
            }
            stack.poll(now, &mut NoFrames)
        })
    };
    stack.keep(kept);
    if stack.take_news() {
        // There may be no one to tell.
        _ = with.events.notify(Notification::READY);
    }
    let next = match card.is_up() {
        true => next,
        false if now < *taken_until => Some(*taken_until - now),
        // No frame wakes it, and a driver that is there again need not say so.
        false => Some(next.map_or(WITHOUT_CARD, |delay| delay.max(WITHOUT_CARD))),
    };
    match next {
        Some(delay) => {
            *is_armed = delay == Duration::ZERO;
            _ = with.events.after(Event::ON_TIMER, delay.total_micros());
        }
        None => {
            *is_armed = false;
            _ = with.events.cancel(Event::ON_TIMER);
        }
    }
    error
}

/// Lets the stack receive and send frames by the card once. Returns the time until that is to be done again.
fn exchange(
    stack: &mut Stack,
    card: &mut Session,
    with: &mut Imports<'_>,
    now: Instant,
) -> Result<Option<Duration>, NicError> {
    if !card.is_up() {
        let address = card.set_up(&mut with.nic, &mut with.regions)?;
        if !stack.set_card(address) {
            return Err(NicError::Failed);
        }
    }
    let came = card.receive(&mut with.nic)?;
    let view = with.regions.shared(card.region()).map_err(|_| NicError::BadRegion)?;
    let mut frames = card.batch(view.bytes(), &came);
    let next = stack.poll(now, &mut frames);
    let count = frames.count();
    card.send_last(&mut with.nic, count)?;
    Ok(match card.is_due() {
        // The card has not sent enough yet, and does not say when it has.
        true if came.had_no_room() => Some(PAUSE),
        true => Some(Duration::ZERO),
        false => next,
    })
}
