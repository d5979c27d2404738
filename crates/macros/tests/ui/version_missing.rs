use bareflow_abi::{CallError, interface};

#[interface]
trait Files {
    fn read(&mut self) -> Result<u64, CallError>;
}

fn main() {}
