//! A task that goes wrong in the way that the first byte of the input of `go_wrong` says.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{Context, module, state};
use bareflow_events::Events;

state! {
    /// The order, and what the task did.
    pub struct Orders {
        /// The way to go wrong; 0 for none.
        pub order: u32 = 0,
        /// The turns of a task that wakes itself for ever.
        pub turns: u32 = 0,
    }
}

module!(state = Orders, imports = { events: Events }, exports = [go_wrong], task = main);

/// Sets the order, if there is one. Returns the turns.
fn go_wrong(context: &mut Context<'_>, orders: &mut Orders) -> i32 {
    orders.order = context.input().first().map_or(orders.order, |&order| order.into());
    orders.turns as i32
}

/// Panics when it is dropped.
struct Angry;

impl Drop for Angry {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

async fn main(cx: TaskContext) {
    let mut clock = cx.every(1_000);
    loop {
        clock.next().await;
        match cx.state(|orders| orders.order) {
            1 => loop {
                core::hint::spin_loop();
            },
            2 => loop {
                cx.state(|orders| orders.turns += 1);
                cx.yield_now().await;
            },
            3 => {
                let _angry = Angry;
                return;
            }
            4 => panic!("in a poll"),
            5 => cx.with(|_, _| cx.now()),
            _ => 0,
        };
    }
}
