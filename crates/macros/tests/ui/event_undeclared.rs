#![allow(unexpected_cfgs, dead_code)]

use bareflow_abi::module;

fn on_tick() -> i32 {
    Event::ON_TOCK as i32
}

module!(timers = { on_tick: 1 });

fn main() {}
