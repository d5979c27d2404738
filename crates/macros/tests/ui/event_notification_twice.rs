#![allow(unexpected_cfgs, dead_code)]

use bareflow_abi::module;

fn on_tick() -> i32 {
    0
}

module!(on_tick, notifications = [price, price]);

fn main() {}
