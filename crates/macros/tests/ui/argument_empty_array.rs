use bareflow_abi::{CallError, interface};

#[interface(version = "1.0")]
trait Files {
    fn read(&self, nothing: &[u8; 0]) -> Result<u64, CallError>;
}

fn main() {}
