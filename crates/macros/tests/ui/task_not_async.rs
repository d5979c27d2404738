#![allow(unexpected_cfgs, dead_code)]

use bareflow_abi::module;
use bareflow_events::Events;

fn task(_: TaskContext) -> i32 {
    0
}

module!(task = task, imports = { events: Events });

fn main() {}
