use bareflow_abi::{CallError, interface};

#[interface(version = "1.0")]
trait Files {
    unsafe fn read(&mut self) -> Result<u64, CallError>;
}

fn main() {}
