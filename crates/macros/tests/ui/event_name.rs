#![allow(unexpected_cfgs, dead_code)]

use bareflow_abi::module;

#[allow(non_snake_case)]
fn on_Tick() -> i32 {
    0
}

module!(timers = { on_Tick: 1 });

fn main() {}
