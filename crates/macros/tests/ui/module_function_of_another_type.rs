#![allow(unexpected_cfgs)]

use bareflow_abi::{CallError, Context, interface, module};

#[interface(version = "1.0")]
trait Files {
    fn read(&mut self) -> Result<u64, CallError>;
}

fn run(_: &mut Context, number: u64) -> i32 {
    number as i32
}

module!(exports = [run]);

fn main() {}
