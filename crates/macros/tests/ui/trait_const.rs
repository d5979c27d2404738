use bareflow_abi::{CallError, interface};

#[interface(version = "1.0")]
trait Files {
    const SIZE: u64;
    fn read(&mut self) -> Result<u64, CallError>;
}

fn main() {}
