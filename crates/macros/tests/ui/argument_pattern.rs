use bareflow_abi::{CallError, interface};

#[interface(version = "1.0")]
trait Files {
    fn read(&mut self, _: u64) -> Result<u64, CallError>;
}

fn main() {}
