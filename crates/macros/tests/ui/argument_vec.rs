use bareflow_abi::{CallError, interface};

#[interface(version = "1.0")]
trait Files {
    fn read(&mut self, bytes: Vec<u8>) -> Result<u64, CallError>;
}

fn main() {}
