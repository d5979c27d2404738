use bareflow_abi::{CallError, interface};

#[interface(version = "1.0")]
trait Files {
    fn read(&mut self, path: String) -> Result<u64, CallError>;
    fn size(&mut self, path: &str) -> usize;
}

fn main() {}
