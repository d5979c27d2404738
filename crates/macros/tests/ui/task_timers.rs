#![allow(unexpected_cfgs, dead_code)]

use bareflow_abi::module;
use bareflow_events::Events;

async fn task(cx: TaskContext) {
    cx.stopped().await;
}

fn on_tick() -> i32 {
    0
}

module!(task = task, imports = { events: Events }, timers = { on_tick: 1 });

fn main() {}
