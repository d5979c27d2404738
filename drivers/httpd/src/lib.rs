//! A web page that shows the modules of a running kernel, by HTTP/1.1 on the interface `tcp`.
//!
//! Nothing can be changed by it. Whoever reaches the port reads it.
//!
//! ```text
//! lib.rs          the module: its settings, its events
//! server.rs       the listener and the places for connections
//! connection/     a connection: head, answer, and again; patience with it
//! surroundings.rs the things at hand at an event: the interfaces, the time, room
//! request.rs      the heads of requests
//! answer.rs       the answers
//! head.rs         their heads
//! output.rs       the text that waits to be sent
//! status.rs       the errors that are answered
//! modules.rs      the modules as JSON
//! stored.rs       what is read of the store
//! page.rs         the page, page.html, and the policy for its style and script
//! trouble.rs      the errors that the log tells of
//! ```

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod answer;
mod connection;
mod head;
mod modules;
mod output;
mod page;
mod request;
mod server;
mod status;
mod stored;
mod surroundings;
mod trouble;

use bareflow_abi::parameters::Text;
use bareflow_abi::{Context, Failure, module, parameters, state};
use bareflow_events::Events;
use bareflow_report::Report;
use bareflow_store::Store;
use bareflow_tcp::Tcp;
use spinning_top::Spinlock;

use server::{Config, STEPS, Server};
use stored::Room;
use surroundings::Surroundings;
use trouble::Told;

/// The time after which it tries again what it could not do, in microseconds.
const AGAIN_US: u64 = 1_000_000;

parameters! {
    /// The settings.
    pub struct Settings {
        /// The port.
        pub port: u16 = 80,
        /// A name of this machine: requests for other names are refused, except those for `localhost` and for addresses.
        pub host: Text<64> = Text::new(""),
        /// The time for the head of a request, in seconds.
        #[range(1..=60)]
        pub head_s: u32 = 10,
    }
}

state! {
    /// The counts of what was done.
    pub struct Counts {
        /// The requests.
        pub requests: u64 = 0,
        /// Those that were answered by an error, and what was no request.
        pub refused: u64 = 0,
    }
}

module!(
    parameters = Settings,
    state = Counts,
    imports = { tcp: Tcp, report: Report, store: Store, events: Events },
    exports = [counts],
    timers = { on_timer: 0 },
    subscriptions = { on_ready: "tcpip.ready" },
    init = begin,
);

/// All that lives from call to call, and ends with the image: connections end with the version that has them.
struct Living {
    server: Server,
    room: Room,
    told: Told,
}

static LIVING: Spinlock<Living> =
    Spinlock::new(Living { server: Server::new(), room: Room::new(), told: Told::NOTHING });

fn begin(_: &mut Context<'_>, _: &mut Counts, mut with: Imports<'_>) -> i32 {
    with.events.after(Event::ON_TIMER, 0).map_or(-1, |()| 0)
}

fn on_timer(context: &mut Context<'_>, counts: &mut Counts, mut with: Imports<'_>) -> i32 {
    serve(context, counts, &mut with)
}

fn on_ready(context: &mut Context<'_>, counts: &mut Counts, mut with: Imports<'_>) -> i32 {
    serve(context, counts, &mut with)
}

/// Writes the number of requests, and of those that were refused.
fn counts(context: &mut Context<'_>, counts: &mut Counts) -> i32 {
    context.write(&counts.requests.to_le_bytes());
    context.write(&counts.refused.to_le_bytes());
    0
}

/// Does some of what can be done, and arms the timer for the rest. Returns 0, or the negative number of TCP's error.
fn serve(context: &mut Context<'_>, counts: &mut Counts, with: &mut Imports<'_>) -> i32 {
    let Ok(now_us) = with.events.now() else {
        _ = with.events.after(Event::ON_TIMER, AGAIN_US);
        return 0;
    };
    let settings = Settings::get();
    let config = Config { port: settings.port, head_us: u64::from(settings.head_s) * 1_000_000 };
    let living = &mut *LIVING.lock();
    let mut surroundings = Surroundings {
        tcp: &mut with.tcp,
        report: &with.report,
        store: &mut with.store,
        now_us,
        own_name: settings.host.as_str(),
        room: &mut living.room,
        steps: STEPS,
        store_is_free: true,
        counts,
    };
    let (next, error) = match living.server.serve(config, &mut surroundings) {
        Ok(next) => (next, None),
        Err(error) => (Some(AGAIN_US), Some(error)),
    };
    if let Some(text) = living.told.news(error) {
        context.log(text);
    }
    // An error is the timer's, which is there.
    match next {
        Some(delay_us) => _ = with.events.after(Event::ON_TIMER, delay_us),
        None => _ = with.events.cancel(Event::ON_TIMER),
    }
    error.map_or(0, |error| -(error.number() as i32))
}
