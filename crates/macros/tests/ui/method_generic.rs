use bareflow_abi::{CallError, interface};

#[interface(version = "1.0")]
trait Files {
    fn read<T: Copy>(&mut self) -> Result<u64, CallError>;
}

fn main() {}
