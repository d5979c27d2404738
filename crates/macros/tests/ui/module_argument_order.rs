#![allow(unexpected_cfgs)]

use bareflow_abi::{CallError, Context, interface, module};

#[interface(version = "1.0")]
trait Files {
    fn read(&mut self) -> Result<u64, CallError>;
}

bareflow_abi::state! {
    struct Book {
        pages: u64 = 0,
    }
}

fn count(_: &mut Book, _: &mut Context) -> i32 {
    0
}

module!(state = Book, exports = [count]);

fn main() {}
