use bareflow_abi::{CallError, interface};

#[interface(version = "1.0")]
trait Files {
    fn read(&mut self) -> Result<u64, std::io::Error>;
}

fn main() {}
