use bareflow_abi::{CallError, interface};

#[interface(version = "1.0")]
trait Files {
    #[cfg(feature = "more")]
    fn read(&mut self) -> Result<u64, CallError>;
}

fn main() {}
