#![allow(unexpected_cfgs)]

use bareflow_abi::{CallError, interface, module};

#[interface(version = "1.0")]
trait Files {
    fn read(&mut self) -> Result<u64, CallError>;
}

bareflow_abi::state! {
    struct Book {
        pages: u64 = 0,
    }
}

impl Files for Server<'_> {
    fn read(&mut self) -> Result<u64, CallError> {
        Ok(0)
    }
}

module!(state = Book, exports = [Files]);

fn main() {}
