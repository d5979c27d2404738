use bareflow_abi::{CallError, interface};

#[interface(version = "1.0")]
trait Files {
    fn read(&mut self) -> Result<usize, CallError>;
}

fn main() {}
