#![allow(unexpected_cfgs, dead_code)]

use bareflow_abi::module;

fn on_tick() -> i32 {
    0
}

module!(timers = { on_tick });

fn main() {}
