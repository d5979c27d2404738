use bareflow_abi::{CallError, interface};

#[interface(version = "1")]
trait Files {
    fn read(&mut self) -> Result<u64, CallError>;
}

fn main() {}
