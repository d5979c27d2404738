#![allow(unexpected_cfgs, dead_code)]

use bareflow_abi::module;
use bareflow_events::Events;

async fn task(_: TaskContext) -> u64 {
    0
}

module!(task = task, imports = { events: Events });

fn main() {}
