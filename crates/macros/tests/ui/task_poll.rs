#![allow(unexpected_cfgs, dead_code)]

use bareflow_abi::module;
use bareflow_events::Events;

async fn task(cx: TaskContext) {
    cx.stopped().await;
}

fn poll() -> i32 {
    0
}

module!(task = task, imports = { events: Events }, exports = [poll]);

fn main() {}
