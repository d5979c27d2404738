#![allow(unexpected_cfgs, dead_code)]

use bareflow_abi::module;
use bareflow_events::Events;

async fn task(cx: TaskContext) {
    cx.stopped().await;
}

module!(task = task, imports = { events: Events }, reentrant = true);

fn main() {}
