use bareflow_abi::{CallError, interface};

#[interface(version = "1.0")]
trait Files {
    fn read(&self, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8) -> Result<u64, CallError>;
}

fn main() {}
