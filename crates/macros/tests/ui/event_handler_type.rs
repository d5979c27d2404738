#![allow(unexpected_cfgs, dead_code)]

use bareflow_abi::module;

fn on_tick(_: u32) -> i32 {
    0
}

module!(timers = { on_tick: 1 });

fn main() {}
