//! All forms of `module!` with events, each of which compiles, and the record that it makes.

#![allow(dead_code)]
#![allow(unexpected_cfgs, reason = "what is for module builds only")]

use bareflow_abi::Context;
use bareflow_events::Events;

bareflow_abi::state! {
    /// A state.
    pub struct Count {
        ticks: u32 = 0,
    }
}

mod handlers {
    use super::*;

    mod inner {
        pub fn on_late() -> i32 {
            0
        }
    }

    fn on_tick(context: &mut Context<'_>, count: &mut Count, mut with: Imports<'_>) -> i32 {
        count.ticks += 1;
        context.write(&count.ticks.to_le_bytes());
        let again = with.events.after(Event::ON_LATE, 5).is_ok() && with.events.notify(Notification::PRICE).is_ok();
        i32::from(again)
    }

    fn on_price(_: &mut Context<'_>, count: &mut Count) -> i32 {
        count.ticks as i32
    }

    fn get(_: &mut Context<'_>) -> i32 {
        1
    }

    bareflow_abi::module!(
        state = Count,
        imports = { events: Events },
        exports = [get],
        timers = { on_tick: 100_000, inner::on_late: 0 },
        subscriptions = { on_price: "feed.price", get: "other-feed.on_price" },
        notifications = [price, on_tick],
        stop = on_price,
        watchdog = 5 * 100_000,
    );

    #[test]
    fn are_numbered_in_their_order() {
        let events = [Event::ON_TICK, Event::ON_LATE, Event::ON_PRICE, Event::GET, Event::STOP];
        assert_eq!(events, [0, 1, 2, 3, 4]);
        assert_eq!([Notification::PRICE, Notification::ON_TICK], [0, 1]);
    }
}

mod least {
    fn on_tick() -> i32 {
        0
    }

    bareflow_abi::module!(timers = { on_tick: 1 });
}

mod driver {
    use super::*;

    fn on_card(context: &mut Context<'_>) -> i32 {
        context.write(b"card") as i32
    }

    bareflow_abi::module!(timers = { on_tick: 1 }, interrupts = { on_card: 0, on_disk: 1 });

    fn on_tick() -> i32 {
        0
    }

    fn on_disk() -> i32 {
        1
    }

    #[test]
    fn are_numbered_behind_other_events() {
        assert_eq!([Event::ON_TICK, Event::ON_CARD, Event::ON_DISK], [0, 1, 2]);
    }
}

mod driver_task {
    use super::*;

    async fn main(cx: TaskContext) -> i32 {
        cx.notified(Event::CARD).await;
        0
    }

    bareflow_abi::module!(task = main, imports = { events: Events }, interrupts = { card: 0 });
}

mod publisher {
    use super::*;

    fn run(_: &mut Context<'_>, mut with: Imports<'_>) -> i32 {
        with.events.notify(Notification::DONE).map_or(-1, |count| count as i32)
    }

    bareflow_abi::module!(run, imports = { events: Events }, notifications = [done]);
}

mod task {
    use super::*;

    async fn main(cx: TaskContext) -> i32 {
        cx.notified(Event::PRICE).await;
        cx.with(|context, mut with| {
            context.log("a price");
            with.events.cancel(Event::PRICE).map_or(-1, i32::from)
        })
    }

    bareflow_abi::module!(
        task = main,
        imports = { events: bareflow_events::Events },
        subscriptions = { price: "feed.price" },
        watchdog = 1_000_000,
    );
}

mod busy_task {
    use super::*;

    mod inner {
        use super::*;

        pub async fn work(cx: TaskContext) {
            let mut second = cx.every(1_000_000);
            while second.next().await == 1 {
                cx.state(|count| count.ticks += 1);
                if cx.notify(Notification::PRICE).is_err() {
                    cx.stopped().await;
                }
            }
        }
    }

    fn get(_: &mut Context<'_>, count: &mut Count) -> i32 {
        count.ticks as i32
    }

    bareflow_abi::module!(
        get,
        state = Count,
        imports = { events: Events },
        exports = [get],
        notifications = [price],
        task = inner::work,
    );
}

/// The list of 64 timers, which is the longest, compiles.
mod longest {
    macro_rules! timers {
        ($($name:ident)*) => {
            $(fn $name() -> i32 { 0 })*
            bareflow_abi::module!(timers = { $($name: 1),* });
        };
    }

    timers!(
        a0 a1 a2 a3 a4 a5 a6 a7 b0 b1 b2 b3 b4 b5 b6 b7 c0 c1 c2 c3 c4 c5 c6 c7 d0 d1 d2 d3 d4 d5 d6 d7
        e0 e1 e2 e3 e4 e5 e6 e7 f0 f1 f2 f3 f4 f5 f6 f7 g0 g1 g2 g3 g4 g5 g6 g7 h0 h1 h2 h3 h4 h5 h6 h7
    );
}

/// Names of 31 bytes, which are the longest, compile; `ui/event_name_long.rs` has one of 32.
mod longest_names {
    use super::*;

    fn a234567890123456789012345678901(_: &mut Context<'_>, mut with: Imports<'_>) -> i32 {
        with.c234567890123456789012345678901.now().map_or(-1, |_| 0)
    }

    bareflow_abi::module!(
        imports = { c234567890123456789012345678901: Events },
        timers = { a234567890123456789012345678901: 1 },
        subscriptions = { b234567890123456789012345678901: "d234567890123456789012345678901.e234567890123456789012345678901" },
        notifications = [f234567890123456789012345678901],
    );

    fn b234567890123456789012345678901(_: &mut Context<'_>) -> i32 {
        0
    }
}

#[path = "../src/names.rs"]
mod names;

/// Texts of 0 to 33 bytes, of each byte, first and later.
fn texts() -> impl Iterator<Item = String> {
    (0..=33).flat_map(|length| {
        let of = move |first: char, rest: char| (0..length).map(|at| if at == 0 { first } else { rest }).collect();
        let ascii = || (0..128_u8).map(char::from);
        ascii().map(move |byte| of(byte, 'a')).chain(ascii().map(move |byte| of('a', byte)))
    })
}

#[test]
fn names_follow_the_rules_of_the_abi() {
    use bareflow_abi::events::{MAX_EVENT_NAME, is_event_name, is_source};
    assert_eq!(names::MAX_NAME, MAX_EVENT_NAME);
    for text in texts() {
        assert_eq!(names::is_event_name(&text), is_event_name(&text), "{text:?}");
        for source in [text.clone(), format!("{text}.price"), format!("feed.{text}")] {
            assert_eq!(names::is_source(&source), is_source(&source), "{source:?}");
        }
    }
}
