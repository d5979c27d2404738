use bareflow_abi::{CallError, interface};

#[interface(version = "1.0")]
trait Files {
    fn read(&mut self, bytes: &bareflow_abi::Out<u8>) -> Result<u64, CallError>;
}

fn main() {}
