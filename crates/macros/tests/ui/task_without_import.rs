#![allow(unexpected_cfgs, dead_code)]

use bareflow_abi::module;

async fn task() {}

module!(task = task);

fn main() {}
