#![allow(unexpected_cfgs)]

use bareflow_abi::{CallError, Context, interface, module};

#[interface(version = "1.0")]
trait Files {
    fn read(&mut self) -> Result<u64, CallError>;
}

fn run(_: &mut Context, mut with: Imports) -> i32 {
    with.target.read().map_or(-1, |_| 0)
}

module!(run, imports = { source: Files });

fn main() {}
