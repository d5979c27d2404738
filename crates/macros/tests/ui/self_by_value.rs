use bareflow_abi::{CallError, interface};

#[interface(version = "1.0")]
trait Files {
    fn read(self) -> Result<u64, CallError>;
}

fn main() {}
