#![allow(unexpected_cfgs, dead_code)]

use bareflow_abi::module;

fn a_name_of_more_than_thirty_one_b() -> i32 {
    0
}

module!(timers = { a_name_of_more_than_thirty_one_b: 1 });

fn main() {}
