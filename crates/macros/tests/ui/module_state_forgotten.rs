#![allow(unexpected_cfgs)]

use bareflow_abi::{CallError, Context, interface, module};

#[interface(version = "1.0")]
trait Files {
    fn read(&mut self) -> Result<u64, CallError>;
}

struct Book;

fn count(_: &mut Context, _: &mut Book) -> i32 {
    0
}

module!(exports = [count]);

fn main() {}
