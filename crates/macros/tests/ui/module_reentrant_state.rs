#![allow(unexpected_cfgs)]

use bareflow_abi::{CallError, Context, interface, module};

#[interface(version = "1.0")]
trait Files {
    fn read(&mut self) -> Result<u64, CallError>;
}

bareflow_abi::state! {
    struct Disk {
        reads: u64 = 0,
    }
}

impl Files for Disk {
    fn read(&mut self) -> Result<u64, CallError> {
        Ok(self.reads)
    }
}

fn unused(_: &mut Context) {}

module!(state = Disk, exports = [Files], reentrant = true);

fn main() {}
