#![allow(unexpected_cfgs, dead_code)]

use bareflow_abi::module;

fn on_tick() -> i32 {
    0
}

mod other {
    pub fn on_tick() -> i32 {
        1
    }
}

module!(exports = [other::on_tick], timers = { on_tick: 1 });

fn main() {}
