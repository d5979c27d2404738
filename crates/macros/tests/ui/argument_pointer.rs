use bareflow_abi::{CallError, interface};

#[interface(version = "1.0")]
trait Files {
    fn read(&mut self, bytes: *const u8) -> Result<u64, CallError>;
}

fn main() {}
