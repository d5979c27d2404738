use bareflow_abi::{CallError, interface};

#[interface(major = "1.0")]
trait Files {
    fn read(&mut self) -> Result<u64, CallError>;
}

fn main() {}
