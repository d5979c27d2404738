use bareflow_abi::{CallError, interface};

#[interface(version = "65536.0")]
trait Files {
    fn read(&mut self) -> Result<u64, CallError>;
}

fn main() {}
