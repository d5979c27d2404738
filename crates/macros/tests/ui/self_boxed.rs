use bareflow_abi::{CallError, interface};

#[interface(version = "1.0")]
trait Files {
    fn read(self: Box<Self>) -> Result<u64, CallError>;
}

fn main() {}
