#![allow(unexpected_cfgs, dead_code)]

use bareflow_abi::module;

module!(timers = { on_tick: 1 });

fn main() {}
